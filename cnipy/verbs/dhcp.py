# SPDX-License-Identifier: Apache-2.0
"""`cnipy dhcp`: be the keeper of leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", default="", help="where to listen")
    parser.add_argument(
        "--host-prefix",
        default="",
        metavar="DIR",
        help="where the host's file system is mounted, for a keeper in a container",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    context.suite.keep_leases(options.socket, options.host_prefix, context.tell)
    return Lines({"ended": "asked to"})


VERB = Verb(
    sentence="be the keeper of leases for dhcp (docs/plugins/dhcp.md)",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
