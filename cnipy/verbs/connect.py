# SPDX-License-Identifier: Apache-2.0
"""`cnipy connect`: a container that runs is on a further network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.command_line import CONTAINER, NETWORK
from cnipy.verb import Answer, Verb
from cnipy.words import add_wishes

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument(
        "--ifname", metavar="IFNAME", help="name of the interface (the next free ethN)"
    )
    add_wishes(parser)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import connected  # noqa: PLC0415 - the parser needs none

    return connected.connect(context, options)


VERB = Verb(
    sentence="attach a container that runs to a further network",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
