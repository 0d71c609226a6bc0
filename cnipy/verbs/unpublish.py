# SPDX-License-Identifier: Apache-2.0
"""`cnipy unpublish`: ports of the host lead to a living container no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    parser.add_argument(
        "ports",
        metavar="PORT",
        nargs="+",
        help="[HOSTIP:]HOSTPORT[:PORT][/tcp|udp|sctp], which may be ranges: 8080",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import port_words, published  # noqa: PLC0415 - the parser needs none

    unwanted = port_words.meant(options.ports)
    return published.change(
        context, options, lambda held: published.without(held, unwanted)
    )


VERB = Verb(
    sentence="have ports of the host lead to a living container no more",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
