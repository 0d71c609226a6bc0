# SPDX-License-Identifier: Apache-2.0
"""Things that are not what they should be around an agent: its socket, files, store."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE
from netns.net.machines import ETCD, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netns.net.machines import Lan, Machine, Node

POOL = ("--pool", "10.64.0.0/16", "--block", "30", "--backend", "host-gw", "--no-names")
SOCKET = "/run/cnipy/net.sock"
CACHE = "/var/lib/cnipy/net/apps"
# Seconds: a question to the store has 5, and one that is not answered ends a call.
BOUND = 9


@pytest.fixture(scope="module")
def node(lan: Lan) -> Node:
    """A node with an agent, in a network whose blocks have one container each."""
    made = lan.node(11)
    made.ok("net", "create", "apps", *POOL)
    made.start()
    made.ok("net", "join", "apps")
    well(made)
    return made


def network(node: Node) -> Any:
    """Return what a node says of the network."""
    (found,) = json.loads(node.cnipy("net", "status", "--json")[1])["networks"]
    return found


def well(node: Node) -> None:
    """Wait until the agent has heard of the store, and can do all that it is to do."""

    def is_well() -> bool:
        told = network(node)
        return told["heard"] is not None and told["heard"] < 3 and not told["faults"]

    wait_until(is_well, 40)


def connected(node: Node) -> socket.socket:
    """Return a connection to the agent, on which nothing was asked."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(5 * PATIENCE)
    line.connect(str(node.path(SOCKET)))
    return line


def answer(node: Node, asked: bytes) -> bytes:
    """Return what the agent answers."""
    with connected(node) as line:
        line.sendall(asked)
        line.shutdown(socket.SHUT_WR)
        return line.makefile("rb").read()


def held_by(node: Node) -> tuple[int, int]:
    """Return how many descriptors the agent has, and its memory in MiB."""
    assert node.agent is not None
    with open(f"/proc/{node.agent.pid}/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    descriptors = len(os.listdir(f"/proc/{node.agent.pid}/fd"))
    return descriptors, pages * os.sysconf("SC_PAGE_SIZE") >> 20


def test_agent_answers_nobody_but_root(node: Node) -> None:
    """Another user cannot even connect."""
    program = f"import socket; socket.socket(socket.AF_UNIX).connect({SOCKET!r})"
    words = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    said = node.run(*words, "sh", "-c", f'python3 -c "{program}" 2>&1', check=False)
    assert "PermissionError" in said


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (b"", "read what is asked"),
        (b"\xff\xfe\n", "read what is asked"),
        (b"[" * 50_000 + b"\n", "read what is asked"),
        (b"[]\n", "read what is asked"),
        (b'{"ask": ["block"]}\n', "unknown"),
        (b'{"ask": "block", "network": {}}\n', "has not joined it"),
        (b'{"ask": "block", "network": "apps", "family": true}\n', "family is 4 or 6"),
        (
            b'{"ask": "block", "network": "apps", "family": 4, "held": -9e99}\n',
            "family is 4 or 6",
        ),
        (b"x" * 200_000, "read what is asked"),
    ],
    ids=[
        "nothing",
        "bytes",
        "deep",
        "list",
        "what",
        "network",
        "family",
        "held",
        "long",
    ],
)
def test_question_without_sense_is_refused(node: Node, asked: bytes, says: str) -> None:
    """Each with one document, and the next one is answered."""
    try:
        said = answer(node, asked)
    except ConnectionError:  # the rest of a line that is too long is not read
        assert len(asked) > 1 << 16
    else:
        assert says in json.loads(said)["error"]["msg"]
    assert json.loads(answer(node, b'{"ask": "status"}\n'))["networks"]["apps"]


def test_connections_that_ask_nothing_are_in_nobodys_way(node: Node) -> None:
    """Hundreds, halves of questions among them, and who reads no answer."""
    before, memory = held_by(node)
    with ExitStack() as lines:
        for number in range(600):
            line = lines.enter_context(connected(node))
            line.sendall((b"", b'{"ask": ', b'{"ask": "status"}\n')[number % 3])
        start = time.monotonic()
        assert network(node)["faults"] == {}
        assert time.monotonic() - start < 5 * PATIENCE
        node.ok("net", "repair")
    wait_until(lambda: held_by(node)[0] <= before + 3)
    assert held_by(node)[1] < memory + 16


@contextmanager
def hanging(lan: Lan, node: Node) -> Iterator[None]:
    """Have the store take connections and say nothing."""
    del node
    lan.pause_etcd()
    try:
        yield
    finally:
        lan.resume_etcd()


@contextmanager
def dropped(lan: Lan, node: Node) -> Iterator[None]:
    """Have all that goes to the store be lost on its way."""
    del lan
    with lost(node, f"ip daddr {ETCD}"):
        yield


@contextmanager
def lost(machine: Machine, what: str, hook: str = "output") -> Iterator[None]:
    """Have packets of a machine, or with the hook `input` to it, be lost."""
    chain = f"chain ip t c {{ type filter hook {hook} priority 0; }}"
    rules = f"add table ip t\nadd {chain}\nadd rule ip t c {what} drop\n"
    machine.run("nft", "-f", "-", input=rules)
    try:
        yield
    finally:
        machine.run("nft", "delete", "table", "ip", "t")


@pytest.mark.parametrize("away", [hanging, dropped])
def test_store_that_hangs_keeps_nobody_waiting(lan: Lan, node: Node, away: Any) -> None:
    """Each call ends in time with the cause; afterwards all goes on by itself."""
    before, memory = held_by(node)
    names = [f"c{number}" for number in range(4)]
    for name in names:
        node.run("ip", "netns", "add", name)
    with away(lan, node):
        wait_until(lambda: "poll" in network(node)["faults"])
        given = 0
        for name in names:
            start = time.monotonic()
            code, _, said = node.cnipy("add", "apps", name)
            assert time.monotonic() - start < (10 + 2) * PATIENCE
            given += not code
            if code:
                break
        assert "(code 11)" in said
        assert "the store is away" in said
        assert "timed out" in said
        assert "did not answer" not in said
        for words in (
            ["show", "n11"],
            ["blocks"],
            ["leave", "apps"],
            ["join", "other"],
        ):
            start = time.monotonic()
            assert "timed out" in node.refused("net", *words)
            assert time.monotonic() - start < BOUND * PATIENCE
        start = time.monotonic()
        assert "timed out" in node.cnipy("net", "status")[1]
        assert time.monotonic() - start < BOUND * PATIENCE
        assert held_by(node)[0] < before + 12
    well(node)
    node.ok("add", "apps", names[given])
    for name in names[: given + 1]:
        node.ok("del", "apps", name)
    for name in names:
        node.run("ip", "netns", "del", name)
    assert held_by(node)[0] < before + 12
    assert held_by(node)[1] < memory + 16


def test_name_that_no_resolver_answers_is_told_in_time(lan: Lan) -> None:
    """The C library would wait for half a minute."""
    other = lan.node(12)
    conf = other.path("/etc/cnipy/net.toml")
    conf.write_text(conf.read_text().replace(ETCD, "etcd.example"))
    other.path("/run/resolv.conf").write_text(f"nameserver {ETCD}\n")
    other.run("mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf")
    start = time.monotonic()
    with lost(lan.server, "udp dport 53", "input"):
        assert "resolve etcd.example: timed out" in other.refused("net", "join", "apps")
    assert time.monotonic() - start < BOUND * PATIENCE
    lan.end(other, 12)


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _of_others(path: Path) -> None:
    path.write_text("{}")
    os.chown(path, 12345, 12345)


def _writable(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o666)


KINDS: tuple[Callable[[Path], object], ...] = (
    *(_link, _endless, _of_others, _writable),
    *(os.mkfifo, os.mkdir),
)


@contextmanager
def replaced(path: Path, kind: Callable[[Path], object]) -> Iterator[None]:
    """Have something strange in the place of a file."""
    aside = path.with_name(f"{path.name}~")
    path.rename(aside)
    kind(path)
    try:
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        aside.rename(path)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_are_no_file_are_named_and_written_again(
    node: Node, kind: Callable[[Path], object]
) -> None:
    """Nothing is followed or waited for, and no address is given by it."""
    path = node.path(f"{CACHE}/blocks")
    whole = path.read_text()
    path.unlink()
    kind(path)
    assert f"{CACHE}/blocks: " in network(node)["faults"]["blocks"]
    node.ok("net", "repair")
    assert not path.is_symlink()
    assert path.read_text() == whole
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["config", "own", "peers"])
@pytest.mark.parametrize("kind", [_endless, _of_others, os.mkfifo, os.mkdir])
def test_file_of_the_agents_that_is_none_is_named(
    node: Node, name: str, kind: Callable[[Path], object]
) -> None:
    """The agent lives, and goes on with it when it is back."""
    with replaced(node.path(f"{CACHE}/{name}"), kind):
        found = network(node)["faults"]
        if name != "peers":
            assert f"read {CACHE}/{name}: " in str(found)
    assert json.loads(answer(node, b'{"ask": "status"}\n'))["networks"]["apps"]


def test_list_that_is_a_pipe_is_passed_over_by_name(node: Node) -> None:
    """No call waits for it; validate says what it is."""
    path = node.path("/etc/cni/net.d/00-pipe.conflist")
    os.mkfifo(path)
    try:
        assert "apps" in node.ok("ls")
        said = node.cnipy("validate")[1]
        assert "00-pipe.conflist:1:1: error: it is no file" in said
        assert network(node)["faults"] == {}
    finally:
        path.unlink()


def test_leases_elsewhere_are_not_followed(node: Node) -> None:
    """Neither ADD nor leave nor status believes a link in the directory's place."""
    node.run("ip", "netns", "add", "held")
    node.ok("add", "apps", "held")
    path = node.path("/var/lib/cni/networks/apps")
    aside = path.with_name("apps-aside")
    path.rename(aside)
    path.symlink_to("/var/lib/empty")
    node.run("mkdir", "-p", "/var/lib/empty")
    try:
        said = network(node)["faults"]["blocks"]
        assert "/var/lib/cni/networks/apps: not a directory" in said
        node.run("ip", "netns", "add", "other")
        said = node.refused("add", "apps", "other")
        assert "/var/lib/cni/networks/apps: not a directory" in said
        node.refused("net", "leave", "apps")
        assert os.listdir(node.path("/var/lib/empty")) == []
    finally:
        path.unlink()
        aside.rename(path)
    node.ok("net", "repair")
    node.ok("del", "apps", "held")


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir, _link])
def test_socket_that_is_something_else_is_named(
    lan: Lan, kind: Callable[[Path], object]
) -> None:
    """An agent does not start in its place, and nothing of it is removed."""
    other = lan.node(13)
    path = other.path(SOCKET)
    path.parent.mkdir()
    kind(path)
    assert f"listen on {SOCKET}: it is no socket" in other.refused("net", "agent")
    assert path.exists() or path.is_symlink()
    lan.end(other, 13)


def test_cidr_that_is_none_ends_nothing(lan: Lan) -> None:
    """`join` refuses it, and an agent that finds it on the disk lives."""
    other = lan.node(14)
    assert "podCIDR" in other.refused("net", "join", "apps", "--pod-cidr", "x")
    assert not other.path(CACHE).exists()
    other.ok("net", "join", "apps")
    other.start()
    well(other)
    cidrs = other.path(f"{CACHE}/cidrs")
    for content in (b"x", b"\xff", b"/run/none"):
        cidrs.write_bytes(content)
        other.run("ip", "netns", "add", "held")
        other.ok("add", "apps", "held")
        wait_until(lambda: network(other)["faults"])
        other.ok("del", "apps", "held")
        other.run("ip", "netns", "del", "held")
    cidrs.unlink()
    well(other)
    other.ok("net", "leave", "apps")
    lan.end(other, 14)
