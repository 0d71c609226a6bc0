# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair`: what living attachments lack is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_chosen

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_chosen(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="print what it would, change nothing"
    )
    how.add_argument(
        "--watch",
        action="store_true",
        help="stay, and do it whenever something of that is taken away",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import on_record, repair  # noqa: PLC0415 - netlink is expensive

    if options.watch and context.json:
        msg = "repair --watch: it does not end, so that there is no document"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, "`cnipy repair --json` has one")
    if options.watch:
        on_record.watch(context, options)
        return Lines([])
    errors, done = Gather(), []
    found = on_record.chosen(context, options, errors)
    for line in repair.repaired(context.suite, found, errors, dry_run=options.dry_run):
        context.say(line.text)
        done.append(line)
    on_record.tell_doubts(errors, context.tell)
    failed = any(line.failed for line in done) or bool(errors.raised)
    return Lines([line.document() for line in done], status=int(failed))


VERB = Verb(
    sentence="put back what living attachments lack, without touching containers",
    run=_run,
    changes=True,
    add_arguments=_add_arguments,
)
