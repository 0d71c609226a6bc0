# SPDX-License-Identifier: Apache-2.0
"""`cnipy disconnect`: a container that runs is on one network less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.command_line import CONTAINER, NETWORK
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("network", metavar="NETWORK", help=NETWORK)
    parser.add_argument("--ifname", metavar="IFNAME", help="of several the one there")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import connected  # noqa: PLC0415 - the parser needs none

    return connected.disconnect(context, options)


VERB = Verb(
    sentence="detach a container from a network, and from no other",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
