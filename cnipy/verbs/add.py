# SPDX-License-Identifier: Apache-2.0
"""`cnipy add`: a container is attached as a runtime would do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_network_and_netns

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _run(context: Context, options: argparse.Namespace) -> Answer:
    import json  # noqa: PLC0415 - the parser needs none of these

    from cnipy import attachment as attachments  # noqa: PLC0415 - the same
    from cnipy import containers  # noqa: PLC0415 - the same

    attachment = containers.attachment(context, options.netns)
    network = context.network(options.network)
    attachments.check_exists(options.netns, attachment)
    context.warn(network, attachment.capability_args)
    result = context.runtime.add(network, attachment)
    return Lines(result, json.dumps(result, indent=4).splitlines())


VERB = Verb(
    sentence="attach the container of NETNS to NETWORK and print the result",
    run=_run,
    changes=True,
    add_arguments=add_network_and_netns,
)
