# SPDX-License-Identifier: Apache-2.0
"""`cnipy limit`: what a living container receives and sends is limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    for way, what in (("ingress", "it receives"), ("egress", "it sends")):
        parser.add_argument(
            f"--{way}",
            metavar="RATE",
            help=f"{what} at most so many bits a second: 10M, 1.5Gbit; 0: no limit",
        )
        parser.add_argument(
            f"--{way}-burst",
            metavar="SIZE",
            help="bits that pass at once (a tenth of a second, at least 64 KiB)",
        )
    parser.add_argument("--none", action="store_true", help="lift both limits")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import limited  # noqa: PLC0415 - the parser needs none

    return limited.change(context, options)


VERB = Verb(
    sentence="limit what a living container receives and sends, or lift the limits",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
