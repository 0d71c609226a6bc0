# SPDX-License-Identifier: Apache-2.0
"""`cnipy explain`: what add would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.command_line import CONTAINER
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


_SOMEBODY = "/run/netns/container"  # in place of a namespace that is not named


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("netns", metavar="NETNS", nargs="?", help=CONTAINER)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import attachment as attachments  # noqa: PLC0415 - the parser needs none
    from cnipy import containers, explain  # noqa: PLC0415 - models are expensive

    network = context.network(options.network)
    if options.netns:
        attachment = containers.attachment(context, options.netns)
        attachments.check_exists(options.netns, attachment)
    else:
        attachment = attachments.from_environment(_SOMEBODY, context.env)
    return explain.told(context, network, attachment)


VERB = Verb(
    sentence="print what add would do for a container of NETWORK, a sentence a part, "
    "with nothing done; names of links depend on the container: NETNS says which",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
