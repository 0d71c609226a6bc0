# SPDX-License-Identifier: Apache-2.0
"""`cnipy show`: what attachments consist of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_chosen

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import on_record, show  # noqa: PLC0415 - netlink is expensive

    errors = Gather()
    found = on_record.chosen(context, options, errors)
    if context.json:
        answer = Lines(show.documents(context.suite, found))
    else:
        answer = Lines(None, list(show.lines(context.suite, found)))
    on_record.tell_doubts(errors, context.tell)
    return answer


VERB = Verb(
    sentence="print what attachments consist of, and what of that is not so by now",
    run=_run,
    changes=False,
    add_arguments=add_chosen,
)
