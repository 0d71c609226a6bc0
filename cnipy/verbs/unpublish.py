# SPDX-License-Identifier: Apache-2.0
"""`cnipy unpublish`: ports of the host lead to a living container no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb
from cnipy.words import add_living, add_ports

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_living(parser)
    add_ports(parser, "HOSTPORT[:PORT]", "which may be ranges: 8080")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import port_words, published  # noqa: PLC0415 - the parser needs none

    unwanted = port_words.meant(options.ports)
    return published.change(
        context,
        options,
        lambda held, kept: published.without(held, kept, unwanted),
    )


VERB = Verb(
    sentence="have ports of the host lead to a living container no more",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
