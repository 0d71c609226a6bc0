# SPDX-License-Identifier: Apache-2.0
"""`cnipy serve`: be the warm server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb, anybody

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", default="", help="where to listen, for a trial")
    parser.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="end when nobody has called for so long; 0 for never, which is what it "
        "does unless systemd passes the socket",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    reason = context.suite.serve(context.command, options.socket, options.idle)
    context.tell(f"serve: ended, {reason}")
    return Lines({"ended": reason})


VERB = Verb(
    sentence="be the warm server (docs/warm.md)",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
    is_for_anybody=anybody,
)
