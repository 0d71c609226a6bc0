# SPDX-License-Identifier: Apache-2.0
"""A host whose /run/cni or leases can take nothing more, full or read-only."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import chains
import pytest
from chains import BEHIND, CHAIN, EVERY, Container
from lab import need, run
from pictures import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Answer, Cni, Host

FRESH = "/run/fresh"


@contextmanager
def unwritable(path: str, how: str) -> Iterator[None]:
    """Have a small file system at `path`, with what is there, that takes no more."""
    os.makedirs(path, exist_ok=True)
    os.makedirs(FRESH, exist_ok=True)
    options = "size=1m,nr_inodes=400,mode=755"
    run("mount", "-t", "tmpfs", "-o", options, "none", FRESH)
    run("cp", "-a", f"{path}/.", FRESH)
    if how == "full":
        for number in range(500):
            with suppress(OSError), open(f"{FRESH}/.full{number}", "w") as file:
                file.write("x" * 1_100_000)
    run("mount", "--move", FRESH, path)
    if how == "read-only":
        run("mount", "-o", "remount,ro", path)
    try:
        yield
    finally:
        # A dnsmasq that was told to end may still have a file there.
        run("umount", "--lazy", path)


def refused_or_done(answer: Answer, code: int) -> bool:
    """Tell whether it was refused; assert that it is with `code` and no traceback."""
    assert "Traceback" not in answer.stderr, answer.stderr
    if answer.status == 0:
        return False
    assert answer.document["code"] == code, answer.stdout
    return True


@pytest.fixture
def node(host: Host, cni: Cni) -> Container:
    """A host with a container that is not attached."""
    need("dnsmasq")
    chains.prepare(host)
    return Container(cni, host.space(), 1)


@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.parametrize("plugin", EVERY)
def test_delete_of_nothing_succeeds(node: Container, plugin: str, how: str) -> None:
    """Where nothing is recorded there is nothing to do, whatever the disk takes."""
    with unwritable("/run/cni", how), unwritable("/var/lib/cni", how):
        answer = node.call("DEL", plugin)
        assert (answer.status, answer.stdout, answer.stderr) == (0, "", ""), plugin


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_delete_of_another_container_succeeds(node: Container, how: str) -> None:
    """Nor where others are recorded."""
    node.add(*EVERY)
    other = Container(node.cni, node.space, 2)
    with unwritable("/run/cni", how), unwritable("/var/lib/cni", how):
        for plugin in EVERY:
            answer = other.call("DEL", plugin)
            assert (answer.status, answer.stdout) == (0, ""), (plugin, answer.stdout)
    node.delete(*EVERY)


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_add_is_refused_and_status_says_so(node: Container, how: str) -> None:
    """ADD is code 5 and leaves nothing, STATUS is code 50, for each plugin."""
    for plugin in EVERY:
        if plugin in BEHIND:
            node.add(BEHIND[plugin])
        links = node.space.ip("link", "show")
        with unwritable("/run/cni", how):
            assert refused_or_done(node.call("STATUS", plugin), 50), plugin
            assert refused_or_done(node.call("ADD", plugin), 5), plugin
        assert [link["ifname"] for link in node.space.ip("link", "show")] == [
            link["ifname"] for link in links
        ]
        if plugin in CHAIN:
            node.add(plugin)
    node.delete(*CHAIN, *BEHIND.values())


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_recorded_delete_is_finished_later(node: Container, how: str) -> None:
    """With something to release DEL succeeds or is code 5, and the next one ends it.

    The records are there again: what had been removed was a copy's.
    """
    node.add(*EVERY)
    with unwritable("/run/cni", how), unwritable("/var/lib/cni", how):
        refused = [p for p in EVERY[::-1] if refused_or_done(node.call("DEL", p), 5)]
    assert how == "full" or refused == list(EVERY[::-1])
    node.delete(*EVERY)
    assert files() == {}


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_no_lease_where_it_cannot_be_kept(node: Container, how: str) -> None:
    """host-local's ADD is code 5 and undone, its STATUS code 50."""
    with unwritable("/var/lib/cni", how):
        assert refused_or_done(node.call("ADD", "bridge"), 5)
        assert refused_or_done(node.call("STATUS", "bridge"), 50)
    assert [link["ifname"] for link in node.space.ip("link", "show")] == ["lo"]
    assert run("ip", "-br", "link", "show", "type", "bridge") == ""
