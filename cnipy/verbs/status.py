# SPDX-License-Identifier: Apache-2.0
"""`cnipy status`: are a network's plugins ready, or what has the node?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_network_unread_netns

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _run(context: Context, options: argparse.Namespace) -> Answer:
    if not options.network:
        from cnipy.node import Status  # noqa: PLC0415 - only without a network

        return Status(context.plugin_path, context.conf_directory, context.suite)
    network = context.network(options.network)
    context.warn(network, {})
    told = context.runtime.status(network)
    document = [{"type": kind, "status": state} for kind, state in told]
    return Lines(document, [f"{kind}: {state}" for kind, state in told])


def _is_about_the_node(options: argparse.Namespace) -> bool:
    return not options.network


VERB = Verb(
    sentence="tell whether the plugins of NETWORK are ready to add; without NETWORK, "
    "what the node has: plugins, servers, networks",
    run=_run,
    changes=False,
    add_arguments=add_network_unread_netns,
    is_for_anybody=_is_about_the_node,
)
