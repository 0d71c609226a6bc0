# SPDX-License-Identifier: Apache-2.0
"""The verbs about attachments that are on record: show and repair."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from cni_common.frame.log import remarks
from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError
from cnipy import network as networks
from cnipy import recorded
from cnipy import repair as repairing
from cnipy import show as shown
from cnipy import watch as watching

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cnipy.recorded import Recorded
    from cnipy.suite import Suite
    from cnipy.watch import Scope


def show(
    options: argparse.Namespace,
    directory: str,
    suite: Suite,
    tell: Callable[[str], None],
) -> str:
    """Return the attachments that are meant as text, or as JSON.

    What cannot be read is told.
    """
    errors = Gather()
    found = chosen(options, directory, suite, errors)
    if options.json:
        text = json.dumps(shown.documents(suite, found), indent=4) + "\n"
    else:
        text = "".join(f"{line}\n" for line in shown.lines(suite, found))
    tell_doubts(errors, tell)
    return text


def repair(
    options: argparse.Namespace,
    directory: str,
    suite: Suite,
    stdout: BinaryIO,
    tell: Callable[[str], None],
) -> int:
    """Put back what living attachments lack, a line each; return the exit status.

    It is 1 if something could not be put back, or not be read.
    """
    errors = Gather()
    found = chosen(options, directory, suite, errors)
    failed = 0
    for line in repairing.repaired(suite, found, errors, dry_run=options.dry_run):
        stdout.write(f"{line}\n".encode())
        failed |= line.failed
    tell_doubts(errors, tell)
    return int(failed or bool(errors.raised))


def watch(
    options: argparse.Namespace,
    directory: str,
    suite: Suite,
    stdout: BinaryIO,
    tell: Callable[[str], None],
) -> int:
    """Repair as `repair` does, now and whenever something may be gone; return 0.

    Ends when it is asked to. What cannot be put back is printed once. Raises CNIError
    at the beginning only.
    """
    chosen(options, directory, suite, Gather())
    said: set[str] = set()

    def again(scope: Scope) -> None:
        errors, found, failed = Gather(), [], set()
        with suppress(CNIError):  # the container that was named may be gone by now
            found = chosen(options, directory, suite, errors)
        named = [item for item in found if scope.names(item.attachment)]
        for meant, only_rules in ((found, True), (named, False)):
            if only_rules and not scope.rules:
                continue
            for line in repairing.repaired(suite, meant, errors, only_rules=only_rules):
                failed |= {line.text} if line.failed else set()
                if line.text not in said:
                    stdout.write(f"{line}\n".encode())
        doubts = {*map(str, errors.raised), *remarks()}
        for text in sorted(doubts - said):
            tell(text)
        if scope.everything:
            said.clear()
        said.update(failed, doubts)

    watching.watch(again)
    return 0


def chosen(
    options: argparse.Namespace, directory: str, suite: Suite, errors: Gather
) -> list[Recorded]:
    """Return the attachments that the command line means."""
    names = {name for name, _ in networks.listed(directory)}
    found = recorded.recorded(suite, errors)
    return recorded.chosen(found, options.network, options.container, names)


def tell_doubts(errors: Gather, tell: Callable[[str], None]) -> None:
    """Tell what could not be read, and what was passed over."""
    for text in (*map(str, errors.raised), *remarks()):
        tell(text)
