# SPDX-License-Identifier: Apache-2.0
"""tuning: an ADD that fails or is killed, wherever, leaves nothing changed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from faults import KILLED, Refusal, die_at_request, refuse_function, refuse_request
from netns.tuning.helpers import BACKUPS, EVERYTHING, conf, notes, parameter, with_link
from pictures import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Cni, Space


@pytest.fixture
def tuned(container: Space) -> Iterator[Space]:
    """A container with eth0, down so that no carrier comes while tests look at it."""
    shutil.rmtree(BACKUPS, ignore_errors=True)
    yield with_link(container, up=False)
    shutil.rmtree(BACKUPS, ignore_errors=True)


def seen(space: Space) -> dict[str, Any]:
    """Return a picture of the host and the container, with parameters and notes."""
    paths = ("net/ipv4/conf/eth0/arp_filter", "net/core/somaxconn")
    values = {path: parameter(space, path) for path in paths}
    return picture(space) | values | {"notes": notes()}


@pytest.mark.parametrize("refuse", [refuse_function, refuse_request])
@pytest.mark.parametrize("repeated", [False, True])
def test_add_that_fails_anywhere_changes_nothing(
    cni: Cni,
    tuned: Space,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
    *,
    repeated: bool,
) -> None:
    """Whichever call fails, all is as before that ADD, and a plain retry works."""
    if repeated:
        earlier = conf(tuned, mtu=1300, txQLen=5, dataDir="/run/lab/other")
        cni.ok("tuning", "ADD", earlier, netns=tuned)
    wanted = conf(tuned, **EVERYTHING)
    before = seen(tuned)
    failed, n = [], 0
    while True:
        n += 1
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse(patch, refusal)
            answer = cni("tuning", "ADD", wanted, netns=tuned)
        if refusal.left > 0:
            break
        if answer.status == 0:  # a check of what is there may fail and not matter
            cni.ok("tuning", "DEL", wanted, netns=tuned)
            if repeated:
                cni.ok("tuning", "ADD", earlier, netns=tuned)
        else:
            failed.append(refusal.where)
        assert seen(tuned) == before, (n, refusal.where, answer.stdout)
    assert answer.status == 0, answer.stdout
    assert len(failed) > 10, failed
    cni.ok("tuning", "CHECK", wanted, netns=tuned)


@pytest.mark.parametrize("earlier", [{}, {"mtu": 1300, "dataDir": "/run/lab/other"}])
@pytest.mark.parametrize("then", [("DEL",), ("ADD", "CHECK", "DEL")])
def test_killed_add(
    cni: Cni,
    tuned: Space,
    monkeypatch: pytest.MonkeyPatch,
    then: tuple[str, ...],
    earlier: dict[str, Any],
) -> None:
    """However early or late ADD is killed, DEL puts back what was; ADD works too."""
    wanted = conf(tuned, **EVERYTHING)
    before = seen(tuned)
    n, status = 0, KILLED
    while status == KILLED:
        n += 1
        if earlier:
            cni.ok("tuning", "ADD", conf(tuned, **earlier), netns=tuned)
        child = os.fork()
        if child == 0:
            die_at_request(monkeypatch, Refusal(n))
            os._exit(cni("tuning", "ADD", wanted, netns=tuned).status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for command in then:
            cni.ok("tuning", command, wanted, netns=tuned)
        assert seen(tuned) == before, n
        assert not os.path.lexists("/run/lab/other/c1_eth0.json")
    assert status == 0
    assert n > 10
