# SPDX-License-Identifier: Apache-2.0
"""`cnipy publish`: further ports of the host lead to a living container."""

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
        help="[HOSTIP:]HOSTPORT:PORT[/tcp|udp|sctp], both may be ranges: 8080:80",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import port_words, published  # noqa: PLC0415 - the parser needs none

    added = port_words.mappings(options.ports)
    return published.change(context, options, lambda held: [*held, *added])


VERB = Verb(
    sentence="have further ports of the host lead to a living container",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
