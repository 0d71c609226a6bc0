# SPDX-License-Identifier: Apache-2.0
"""`cnipy schema`: what may be written, in the form that editors read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb, anybody

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="PLUGIN",
        nargs="?",
        help="a plugin, `conflist` or `net` (net.toml); without it a file of either of "
        "the first two",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    import json  # noqa: PLC0415 - the parser needs none

    from cnipy import schema  # noqa: PLC0415 - for this verb only

    found = schema.document(context.suite.keys(), options.what)
    return Lines(found, json.dumps(found, indent=4).splitlines())


VERB = Verb(
    sentence="print the JSON Schema of a plugin's keys, or of a network's file, for "
    "editors (docs/editor.md)",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
    is_for_anybody=anybody,
)
