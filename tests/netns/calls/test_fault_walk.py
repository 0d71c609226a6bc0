# SPDX-License-Identifier: Apache-2.0
"""Every plugin and verb, where each call to the kernel fails or is the last one.

Which calls there are is found by making them (tests/supervised.py). Of those that are
alike and come after the same one, one fails, with one of the errors that the kernel may
give, and of those again a part is tried (tests/choosing.py).
"""

from __future__ import annotations

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


@pytest.fixture(params=[marked(case) for case in CASES])
def walk(request: pytest.FixtureRequest, host: Host, cni: Cni) -> Iterator[Walk]:
    """A case on a host of its own; at the end all that was found is told."""
    case: Case = request.param
    found = walking.begin(case, host, cni)
    try:
        yield found
    finally:
        found.end()
        for number in dnsname.pids():
            dnsname.kill(number)
        dhcp.rest()


def conclude(walk: Walk) -> None:
    """Tell all that was found."""
    assert not walk.findings, "\n".join(walk.findings)


def test_add_that_fails_anywhere_leaves_what_was(walk: Walk) -> None:
    """All is as before; where ADD succeeds nevertheless, DEL leaves nothing of it."""
    for answer in walk.each("ADD", refuse):
        if answer and answer.status and walking.STRANDED not in answer.stdout:
            after = walk.compare(walk.before, what=f"left of ADD ({answer.stdout})")
            if after == walk.before:
                continue
        walk.check(answer)
        walk.ok("DEL")
        walk.restore(walk.compare(walk.settled, walk.before, what="left after DEL"))
    conclude(walk)


def test_add_that_cannot_be_undone_either_is_deleted(walk: Walk) -> None:
    """What had to stay is on record: DEL leaves nothing of it."""
    for answer in walk.each("ADD", refuse_onwards):
        walk.check(answer)
        walk.ok("DEL")
        walk.restore(walk.compare(walk.settled, walk.before, what="left after DEL"))
    conclude(walk)


def test_add_that_is_killed_anywhere_is_mended(walk: Walk) -> None:
    """DEL leaves nothing of it, and another ADD works."""
    for _ in walk.each("ADD", kill):
        if walk.tried % 2 and walk.case.repeatable:
            walk.repeat()
        walk.ok("DEL")
        walk.restore(walk.compare(walk.settled, walk.before, what="left after DEL"))
    conclude(walk)


@pytest.mark.parametrize("way", [refuse, kill])
@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_removal_that_fails_anywhere_is_finished_by_another(
    walk: Walk, verb: str, way: Errors
) -> None:
    """Nothing is left when it succeeds, and nothing after a second one."""
    walk.attach()
    for answer in walk.each(verb, way):
        if answer is None or answer.status:
            walk.ok(verb)
        if verb == "GC":
            walk.ok("DEL")
        after = walk.compare(walk.settled, walk.before, what=f"left after {verb}")
        walk.it.results.pop()
        walk.restore(after)
        walk.attach()
    conclude(walk)


@pytest.mark.parametrize("verb", ["CHECK", "STATUS"])
def test_looking_changes_nothing(walk: Walk, verb: str) -> None:
    """Whatever fails, all is as before, and it is told."""
    if verb == "CHECK":
        walk.attach()
    before = walk.look()
    for _ in walk.each(verb, refuse):
        pass
    walk.compare(before, what=f"changed by {verb}")
    conclude(walk)
