# SPDX-License-Identifier: Apache-2.0
"""`cnipy metrics`: measurements for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.verb import Answer, Lines, Verb

if TYPE_CHECKING:
    import argparse

    from cnipy.context import Context


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--textfile",
        metavar="FILE",
        help="write them to FILE, whole or not at all, for node_exporter's textfile "
        "collector, and print nothing",
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import exposition, metrics, on_record  # noqa: PLC0415 - the same

    errors = Gather()
    answer = metrics.measured(context, errors)
    on_record.tell_doubts(errors, context.tell)
    if options.textfile is None:
        return answer
    exposition.write(options.textfile, answer.text())
    return Lines(answer.document())


VERB = Verb(
    sentence="print measurements for Prometheus: calls, errors, seconds, addresses, "
    "ports, bytes of containers, repairs",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
