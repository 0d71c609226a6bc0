# SPDX-License-Identifier: Apache-2.0
"""`cnipy check`: every plugin of the list is asked about an attachment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_network_and_netns, document

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import containers  # noqa: PLC0415 - the parser needs none

    network, attachment = containers.attached(context, options)
    context.runtime.check(network, attachment)
    return Lines(document(network.name, attachment))


VERB = Verb(
    sentence="tell whether the attachment of NETNS is still as add made it",
    run=_run,
    changes=False,
    add_arguments=add_network_and_netns,
)
