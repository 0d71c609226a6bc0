# SPDX-License-Identifier: Apache-2.0
"""`cnipy validate`: files are looked at before a runtime reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb, anybody

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="a list, a single plugin, or a directory of both; without any, that of "
        "the node (NETCONFPATH)",
    )
    parser.add_argument(
        "--no-plugins",
        action="store_true",
        help="do not look for the plugins, whose node may be another one",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy.validate import validate  # noqa: PLC0415 - models are expensive

    named = options.files or [context.conf_directory]
    invoker = None if options.no_plugins else context.runtime.invoker
    report = validate(context.suite, named, invoker)
    return Lines(report.document(), report.lines(), report.status)


VERB = Verb(
    sentence="tell what is wrong with FILE, or with all files of a directory: keys, "
    "values, order, what networks take from each other; status 1 if anything is",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
    is_for_anybody=anybody,
)
