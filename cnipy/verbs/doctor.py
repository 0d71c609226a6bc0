# SPDX-License-Identifier: Apache-2.0
"""`cnipy doctor`: what is broken on the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.command_line import NETWORK
from cnipy.verb import Answer, Lines, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    what = f"{NETWORK}; without it the node is looked at for all"
    parser.add_argument("network", metavar="NETWORK", nargs="?", help=what)


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.doctor import report  # noqa: PLC0415 - netlink is expensive

    found = report.examine(
        context.suite, context.runtime, context.conf_directory, options.network
    )
    for text in found.unclear:
        context.tell(text)
    return Lines(found.document(), found.lines(), found.status)


VERB = Verb(
    sentence="find what is broken on the node, or for NETWORK: its cause, its cure; "
    "status 1 if anything is",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
