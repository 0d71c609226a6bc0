# SPDX-License-Identifier: Apache-2.0
"""`cnipy ls`: which networks there are, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from collections import Counter  # noqa: PLC0415 - for the work alone

    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - the same
    from cnipy import on_record, recorded  # noqa: PLC0415 - the same
    from cnipy.inventory import Inventory  # noqa: PLC0415 - the same

    del options
    errors = Gather()
    found = recorded.recorded(context.suite, errors)
    answer = Inventory(context, Counter(each.network for each in found))
    on_record.tell_doubts(errors, context.tell)
    return answer


VERB = Verb(
    sentence="list the networks with their files and plugins, and what is wrong with "
    "them",
    run=_run,
    changes=False,
)
