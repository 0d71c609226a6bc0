# SPDX-License-Identifier: Apache-2.0
"""dnsname: many calls at once, and a dnsmasq that comes or goes meanwhile."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lab import run
from netns.dnsname.helpers import NXDOMAIN, SERVERS, Names, Reply, pid, pids

from cni_common.kernel import nft
from cni_common.names import dnsmasq

if TYPE_CHECKING:
    import pytest
    from netns.dnsname.helpers import Attached


def test_stray_that_shows_itself_late_gives_way(
    node: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed ADD's child that becomes dnsmasq after the search loses the port."""
    planned = node.plan("c1", "web")
    start, late = dnsmasq.start, []

    def start_second(executable: str, path: str) -> None:
        if not late:
            run(*dnsmasq.command(executable, path))
            late.extend(pids())
        start(executable, path)

    monkeypatch.setattr(dnsmasq, "start", start_second)
    node.call("ADD", planned)
    assert len(late) == len(pids()) == 1
    assert late != pids()
    assert planned.ask("web") == Reply(0, [planned.address])
    node.call("CHECK", planned)


def test_port_that_is_given_back_late_is_waited_for(node: Names) -> None:
    """A server that is about to end holds the port a little longer."""
    planned = node.plan("c1", "web")
    with socket.create_server(("10.1.2.1", 53)) as held, ThreadPoolExecutor() as pool:
        waited = pool.submit(time.sleep, 0.1)
        waited.add_done_callback(lambda _: held.close())
        node.call("ADD", planned)
    assert planned.ask("web") == Reply(0, [planned.address])


def at_once(node: Names, verb: str, those: list[Attached]) -> None:
    """Have one process for each call, all at the same time."""
    children = []
    for it in those:
        child = os.fork()
        if child == 0:
            nft.release()
            answer = node.cni("dnsname", verb, it.conf, **it.options)
            os._exit(answer.status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * len(those)


def test_many_at_once_share_one_dnsmasq(node: Names) -> None:
    """Twelve first containers at once have one server, which ends with the last."""
    those = [node.plan(f"c{number}", f"web{number}") for number in range(12)]
    for _ in range(3):
        at_once(node, "ADD", those)
        assert pids() == [pid()]
        for number, it in enumerate(those):
            assert those[0].ask(f"web{number}") == Reply(0, [it.address])
        at_once(node, "DEL", those)
        assert (pids(), os.path.exists(SERVERS)) == ([], False)


def test_first_and_last_meet(node: Names) -> None:
    """DEL of the last container while another is added: that one has names."""
    one, two = node.plan("c1", "one"), node.plan("c2", "two")
    for _ in range(10):
        node.call("ADD", one)
        with ThreadPoolExecutor(1):
            child = os.fork()
            if child == 0:
                os._exit(node.cni("dnsname", "DEL", one.conf, **one.options).status)
            node.call("ADD", two)
            assert os.waitpid(child, 0)[1] == 0
        assert two.ask("two") == Reply(0, [two.address])
        assert two.ask("one") == Reply(NXDOMAIN, [])
        node.call("DEL", two)
        assert pids() == []
