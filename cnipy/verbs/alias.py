# SPDX-License-Identifier: Apache-2.0
"""`cnipy alias`: neighbours find a living container by further names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    parser.add_argument("names", metavar="NAME", nargs="+", help="a further name each")
    parser.add_argument(
        "--remove", action="store_true", help="take them away, instead of giving them"
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import named  # noqa: PLC0415 - the parser needs none

    return named.alias(context, options)


VERB = Verb(
    sentence="have neighbours find a living container by further names, or no more",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
