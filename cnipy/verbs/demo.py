# SPDX-License-Identifier: Apache-2.0
"""`cnipy demo`: two containers talk, where nobody is hurt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conf", help="another conflist of bridge and portmap")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cnipy import demo  # noqa: PLC0415 - the parser needs none of it

    path = context.env.get("CNI_PATH") or context.own_directory
    plugins = tuple(filter(None, path.split(":")))
    seen, status = demo.play(plugins, options.conf, context.env, quiet=context.json)
    return Lines(seen, status=status)


VERB = Verb(
    sentence="two containers talk in a throw-away network",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
