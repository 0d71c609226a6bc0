# SPDX-License-Identifier: Apache-2.0
"""dnsname: ADDs that fail or are killed, many at once, and paths that lie."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from faults import Refusal, refuse_function, refuse_request, refused
from lab import need, run
from netns.dnsname.helpers import (
    NXDOMAIN,
    SERVERS,
    Names,
    Reply,
    left,
    pid,
    pids,
    wait_for,
)
from pictures import picture

from cni_common import state
from cni_common.kernel import nft
from cni_common.names import answers, dnsmasq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Cni, Host
    from netns.dnsname.helpers import Attached


@pytest.fixture
def node(host: Host, cni: Cni) -> Iterator[Names]:
    """A node whose containers get names."""
    need("dnsmasq")
    names = Names(host, cni)
    yield names
    names.close()


def steady(*those: Attached) -> dict[str, object]:
    """Return everything that ADD may change, but for the number of the process."""
    shown = picture(*(it.space for it in those))
    shown["files"] = {
        path: content
        for path, content in shown["files"].items()
        if not path.endswith("/pid")
    }
    return shown


@pytest.mark.parametrize("refuse", [refuse_function, refuse_request])
@pytest.mark.parametrize("others", [False, True])
def test_add_that_fails_anywhere_leaves_nothing(
    node: Names,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
    *,
    others: bool,
) -> None:
    """Whichever call fails during ADD, all is as before, and a plain retry works."""
    if others:
        node.attach("c0", "other")
    planned = node.plan("c1", "web", aliases=["www"])
    before, running = steady(planned), pids()
    failed, n = 0, 0
    while True:
        n += 1
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse(patch, refusal)
            answer = node.cni("dnsname", "ADD", planned.conf, **planned.options)
        if refusal.left > 0:
            break
        failed += answer.status
        if answer.status == 0:
            node.call("DEL", planned)
        assert (steady(planned), pids()) == (before, running), (n, refusal.where)
    assert answer.status == 0, answer.stdout
    assert failed >= 3
    assert planned.ask("www") == Reply(0, [planned.address])


@pytest.mark.parametrize("step", ("start", "answer"))
@pytest.mark.parametrize("domain", ("dns.podman", "new.example"))
def test_failed_add_leaves_the_others_their_server(
    node: Names, monkeypatch: pytest.MonkeyPatch, step: str, domain: str
) -> None:
    """A neighbour keeps its names and domain when an ADD with another domain fails."""
    one = node.attach("c1", "one")
    planned = node.plan("c2", "two", domainName=domain)
    before = steady(one, planned)
    module, name = {
        "start": (dnsmasq, "start"),
        "answer": (answers, "await_added"),
    }[step]
    real = getattr(module, name)

    def refuse_once(*_: object) -> None:
        monkeypatch.setattr(module, name, real)
        raise refused()

    monkeypatch.setattr(module, name, refuse_once)
    answer = node.cni("dnsname", "ADD", planned.conf, **planned.options)
    if answer.status == 0:
        # Nothing had to be started.
        node.call("DEL", planned)
    assert steady(one, planned) == before
    assert len(pids()) == 1
    assert one.ask("one") == Reply(0, [one.address])
    assert one.ask("two") == Reply(NXDOMAIN, [])
    node.call("CHECK", one)


def test_failed_repetition_keeps_the_names(
    node: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second ADD under another name that fails leaves the first one's."""
    it = node.attach("c1", "old")
    before = steady(it)
    it.options["args"] = "IgnoreUnknown=1;K8S_POD_NAME=new"

    def refuse(*_: object) -> None:
        raise refused()

    with monkeypatch.context() as patch:
        patch.setattr(answers, "await_added", refuse)
        node.refused("ADD", it)
    assert steady(it) == before
    assert it.ask("old") == Reply(0, [it.address])
    assert it.ask("new") == Reply(NXDOMAIN, [])


def test_killed_add_is_undone_by_delete(node: Names) -> None:
    """However early or late ADD is killed, a new ADD works and DEL leaves nothing."""
    planned = node.plan("c1", "web")
    before = picture(planned.space)
    ended = 0
    for step in range(20):
        child = os.fork()
        if child == 0:
            node.cni("dnsname", "ADD", planned.conf, **planned.options)
            os._exit(0)
        time.sleep(step * 0.002)
        os.kill(child, signal.SIGKILL)
        ended += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        if step % 2:
            node.call("ADD", planned)
            assert planned.ask("web") == Reply(0, [planned.address])
        node.call("DEL", planned)
        # One that was about to read its configuration ends by itself.
        wait_for(lambda: pids() == [])
        assert picture(planned.space) == before
    assert ended < 20


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


def test_only_names_can_be_read(node: Names) -> None:
    """Other users read the names; they list nothing above, and read no record."""
    node.attach("c1", "web")
    modes = {
        path: stat.S_IMODE(os.stat(path).st_mode)
        for path in (
            state.ROOT,
            SERVERS,
            f"{SERVERS}/net",
            f"{SERVERS}/net/hosts",
            f"{SERVERS}/net/dnsmasq.conf",
            f"{state.ROOT}/dnsname",
            f"{state.ROOT}/bridge",
        )
    }
    assert list(modes.values()) == [0o711, 0o711, 0o711, 0o755, 0o600, 0o700, 0o700]


def test_umask_of_the_caller_does_not_matter(node: Names) -> None:
    """A runtime with umask 077 gets a dnsmasq that can read its files."""
    before = os.umask(0o077)
    os.makedirs("/run/cni", exist_ok=True)
    os.chmod("/run/cni", 0o700)
    try:
        web = node.attach("c1", "web")
        assert web.ask("web") == Reply(0, [web.address])
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ("net", "net/hosts"))
def test_link_in_the_way_is_not_followed(
    node: Names, tmp_path: Path, name: str
) -> None:
    """Where our directory should be, a symbolic link makes ADD fail untouched."""
    (tmp_path / "kept").write_text("kept")
    planned = node.plan("c1", "web")
    path = f"{SERVERS}/{name}"
    os.makedirs(os.path.dirname(path), 0o700)
    os.symlink(tmp_path, path)
    mode = tmp_path.stat().st_mode
    node.refused("ADD", planned)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert tmp_path.stat().st_mode == mode
    assert pids() == []


def test_longest_network_name(node: Names) -> None:
    """A network's name that no directory could have is served like any other."""
    name = "n" * 300
    web = node.plan("c1", "web", bridge={"ipam": None})
    space, result = node.bridged("c2")
    web.conf |= {"name": name, "prevResult": result}
    web.options |= {"netns": space, "container_id": "c2"}
    node.call("ADD", web)
    web.space = space
    address = result["ips"][0]["address"].split("/")[0]
    assert web.ask("web") == Reply(0, [address])
    node.call("CHECK", web)
    node.call("DEL", web)
    assert (pids(), left()) == ([], [f"{state.ROOT}/dnsname"])


def test_dnsmasq_that_cannot_read_is_told(node: Names) -> None:
    """When its user cannot come to the names, ADD fails soon enough and says why."""
    planned = node.plan("c1", "web")
    before = steady(planned)
    run("chmod", "0700", "/run")
    try:
        error = node.refused("ADD", planned)
    finally:
        run("chmod", "0755", "/run")
    assert error["msg"] == (
        "ask dnsmasq at 10.1.2.1 for web.dns.podman: it gives nothing,"
        f" not {planned.address}"
    )
    assert error["details"] == f"its user must be able to read {SERVERS}/net/hosts"
    assert (steady(planned), pids()) == (before, [])
