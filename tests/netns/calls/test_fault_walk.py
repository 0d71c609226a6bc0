# SPDX-License-Identifier: Apache-2.0
"""Every plugin and verb, where each call to the kernel fails or is the last one.

Which calls there are is found by making them (tests/supervised.py). Of those that are
alike and come after the same one, one fails, with one of the errors that the kernel may
give, and of those again a part is tried (tests/choosing.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

import chains
import pytest
import walking
from choosing import kill, refuse, refuse_onwards
from netns.dhcp import helpers as dhcp
from netns.dnsname import helpers as dnsname
from walk_cases import CASES, Case
from walking import Walk

from cni_common import parts
from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark.structures import ParameterSet
    from choosing import Errors
    from lab import Cni, Host


pytestmark = pytest.mark.slow


def test_every_plugin_has_a_case() -> None:
    """A plugin of the register is walked, or this fails."""
    assert {case.plugin for case in CASES} == set(REGISTER)


def test_every_plugin_of_parts_is_attached_beside_the_others() -> None:
    """What holds of all records is tried with those of a new plugin, or this fails."""
    assert set(chains.ALL) == set(parts.OF)


def marked(case: Case) -> ParameterSet:
    """Return the case with what it needs: a walk elsewhere takes long."""
    needed = (pytest.mark.needs_kernel(case.kernel), pytest.mark.thorough)
    return pytest.param(case, id=str(case), marks=needed if case.kernel else ())


EVERY = pytest.mark.parametrize("case", [marked(case) for case in CASES])


@contextmanager
def walked(case: Case, host: Host, cni: Cni) -> Iterator[Walk]:
    """Give a case on a host of its own; at the end all that was found is told."""
    walk = walking.begin(case, host, cni)
    try:
        yield walk
        assert not walk.findings, "\n".join(walk.findings)
    finally:
        walk.end()
        for number in dnsname.pids():
            dnsname.kill(number)
        dhcp.rest()


@EVERY
def test_add_that_fails_anywhere_leaves_nothing(
    case: Case, host: Host, cni: Cni
) -> None:
    """What had to stay, or was killed, a DEL takes away, and CHECK knows the rest."""
    with walked(case, host, cni) as walk:
        leave_what_was(walk)
        leave_a_record(walk)
        be_mended(walk)


def leave_what_was(walk: Walk) -> None:
    """All is as before; where ADD succeeds nevertheless, DEL leaves nothing of it."""
    for answer in walk.each("ADD", refuse):
        if answer and answer.status and walking.STRANDED not in answer.stdout:
            after = walk.compare(walk.before, what=f"left of ADD ({answer.stdout})")
            if after == walk.before:
                continue
        walk.check(answer)
        be_deleted(walk)


def leave_a_record(walk: Walk) -> None:
    """Where it cannot be undone either, DEL leaves nothing of what had to stay."""
    for answer in walk.each("ADD", refuse_onwards):
        walk.check(answer)
        be_deleted(walk)


def be_mended(walk: Walk) -> None:
    """DEL leaves nothing of an ADD that was killed, and another ADD works."""
    walk.tried = 0
    for _ in walk.each("ADD", kill):
        if walk.tried % 2 and walk.case.repeatable:
            walk.repeat()
        be_deleted(walk)


def be_deleted(walk: Walk) -> None:
    """Have DEL leave nothing, whatever an ADD came to."""
    walk.ok("DEL")
    walk.restore(walk.compare(walk.settled, walk.before, what="left after DEL"))


@EVERY
def test_removal_that_fails_anywhere_is_finished_by_another(
    case: Case, host: Host, cni: Cni
) -> None:
    """Nothing is left when DEL or GC succeeds, and nothing after a second one."""
    with walked(case, host, cni) as walk:
        walk.attach()
        for verb, way in product(("DEL", "GC"), (refuse, kill)):
            be_finished(walk, verb, way)


def be_finished(walk: Walk, verb: str, way: Errors) -> None:
    """Have nothing left of what was attached; it is attached again."""
    for answer in walk.each(verb, way):
        if answer is None or answer.status:
            walk.ok(verb)
        if verb == "GC":
            walk.ok("DEL")
        after = walk.compare(walk.settled, walk.before, what=f"left after {verb}")
        walk.it.results.pop()
        walk.restore(after)
        walk.attach()


@EVERY
def test_looking_changes_nothing(case: Case, host: Host, cni: Cni) -> None:
    """Whatever fails of STATUS or CHECK, all is as before, and it is told."""
    with walked(case, host, cni) as walk:
        for verb in ("STATUS", "CHECK"):
            if verb == "CHECK":
                walk.attach()
            before = walk.look()
            for _ in walk.each(verb, refuse):
                pass
            walk.compare(before, what=f"changed by {verb}")
