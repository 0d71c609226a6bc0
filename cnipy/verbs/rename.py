# SPDX-License-Identifier: Apache-2.0
"""`cnipy rename`: neighbours find a living container by another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    parser.add_argument("name", metavar="NAME", help="that it is found by from then on")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import named  # noqa: PLC0415 - the parser needs none

    return named.rename(context, options)


VERB = Verb(
    sentence="have neighbours find a living container by another name",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
