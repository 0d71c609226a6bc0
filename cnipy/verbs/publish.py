# SPDX-License-Identifier: Apache-2.0
"""`cnipy publish`: further ports of the host lead to a living container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living, add_ports

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    add_ports(parser, "HOSTPORT:PORT", "both may be ranges: 8080:80")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import port_words, published  # noqa: PLC0415 - the parser needs none

    added = port_words.mappings(options.ports)
    return published.change(context, options, lambda held, _: [*held, *added])


VERB = Verb(
    sentence="have further ports of the host lead to a living container",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
