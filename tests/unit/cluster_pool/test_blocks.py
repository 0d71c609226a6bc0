# SPDX-License-Identifier: Apache-2.0
"""Addresses out of the blocks that an agent has written down."""

from __future__ import annotations

import fcntl
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE
from pool_agent import agent

from cni_common.pool import held

if TYPE_CHECKING:
    from conftest import Network

POOL, POOL6 = "10.64.0.0/16", "fd00:64::/48"
BOTH = {POOL: 27, POOL6: 112}
ROUTES = [{"dst": POOL}, {"dst": POOL6}]


def hold(
    *blocks: str, unusable: tuple[str, ...] = (), pools: tuple[str, ...] = (POOL,)
) -> None:
    def networks(texts: Any) -> tuple[Any, ...]:
        return tuple(ip_network(text) for text in texts)

    held.write("apps", held.Held(networks(pools), networks(blocks), networks(unusable)))


def asked(server: Any, count: int) -> bool:
    until = time.monotonic() + 5 * PATIENCE
    while len(server.asked) < count and time.monotonic() < until:
        time.sleep(0.01)
    return len(server.asked) >= count


def test_an_attachment_has_an_address_of_each_family(net: Network) -> None:
    """The gateway is the block's first address, and the pool is behind it."""
    hold("10.64.3.0/26", "fd00:64:0:3::/112", pools=(POOL, POOL6))
    result = net.call("ADD", routes=[{"dst": "0.0.0.0/0"}]).document
    assert result["ips"] == [
        {"address": "10.64.3.2/26", "gateway": "10.64.3.1"},
        {"address": "fd00:64:0:3::2/112", "gateway": "fd00:64:0:3::1"},
    ]
    assert result["routes"] == [{"dst": "0.0.0.0/0"}, *ROUTES]
    assert net.leases == {"10.64.3.2", "fd00:64:0:3::2"}
    assert net.call("DEL").status == 0
    assert net.leases == set()


def test_every_block_gives_all_but_its_ends(net: Network) -> None:
    """Network, gateway, broadcast and excluded addresses are nobody's."""
    hold("10.64.3.0/29", "10.64.9.0/29")
    exclude = ["10.64.3.4", "10.64.9.4/31", "fd00::1"]
    given = net.fill(7, exclude=exclude)
    assert sorted(map(ip_address, given)) == [
        *(ip_address(f"10.64.3.{n}") for n in (2, 3, 5, 6)),
        *(ip_address(f"10.64.9.{n}") for n in (2, 3, 6)),
    ]
    assert net.call("ADD", "more", exclude=exclude).error["code"] == 11


def test_nobody_is_asked_while_there_is_room(net: Network) -> None:
    """With 16 free after an ADD the agent is left alone, with 15 it is asked."""
    with agent("apps", {POOL: 27}) as server:
        server.claim(4, 0)
        net.fill(29 - 16)
        assert server.asked == []
        net.fill(1, start=13)
        assert asked(server, 1)
    assert server.asked[0] == {
        "ask": "block",
        "network": "apps",
        "family": 4,
        "held": 1,
    }


def test_an_add_with_room_waits_for_nobody(net: Network) -> None:
    """An agent that does not answer, and one that is not there, cost nothing."""
    with agent("apps", {POOL: 29}) as server:
        server.claim(4, 0)
        with server.turn:  # it answers to nobody
            began = time.monotonic()
            assert net.call("ADD").addresses == ["10.64.0.2"]
            assert time.monotonic() - began < 2 * PATIENCE
    hold("10.64.0.0/29")
    log = net.room / "log"
    away = net.call("ADD", "c2", more={"logFile": str(log)})
    assert away.addresses == ["10.64.0.3"]
    assert "IPv4 addresses are running out" in log.read_text()


def test_more_containers_than_a_block_has_get_more_blocks(net: Network) -> None:
    """Both families grow by what is needed, and no address is given twice."""
    with agent("apps", {POOL: 29, POOL6: 125}):
        given = net.fill(20)
    assert len(set(given)) == 40
    blocks = [ip_network(f"10.64.0.{n}/29") for n in range(0, 64, 8)]
    own = [ip_address(a) for a in given if "." in a]
    assert all(any(a in block for block in blocks) for a in own)
    found = held.read("apps")
    assert found is not None
    assert len(found.usable(4)) <= 8  # of 5 addresses each: 20, and 16 that are free


def test_the_first_block_comes_with_the_first_container(net: Network) -> None:
    """A node that has joined and holds nothing waits for its first block."""
    with agent("apps", BOTH) as server:
        assert net.call("ADD").addresses == ["10.64.0.2", "fd00:64::2"]
        assert asked(server, 2)
        assert [each["family"] for each in server.asked] == [4, 6]


@pytest.mark.parametrize("away", ["no agent", "refused", "liar"])
def test_without_an_address_left_the_reason_is_told(
    net: Network, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 11 with the way out; nothing is leased, and STATUS says the same."""
    if away == "no agent":
        hold("10.64.0.0/30")
        net.fill(1)
        error, status = net.call("ADD").error, net.call("STATUS").error
        assert "systemctl start cnipy-net" in error["details"]
    else:
        with agent("apps", {POOL: 30}) as server:
            server.claim(4, 0)
            monkeypatch.setattr(server, "claim", lambda *_: [])
            if away == "refused":
                text = '{"error": {"code": 11, "msg": "claim a block: etcd is away"}}'
                server.refusal = text
            net.fill(1)
            error, status = net.call("ADD").error, net.call("STATUS").error
        cause = {"refused": "etcd is away", "liar": "there is none"}[away]
        assert cause in error["msg"]
    assert error["code"] == 11
    assert "10.64.0.0/30" in error["msg"]
    assert (status["code"], status["msg"]) == (50, error["msg"])
    assert "cnipy gc" in error["details"]
    assert net.leases == {"10.64.0.2"}
    assert net.call("STATUS", statusWhenFull="ready").status == 0


def test_status_is_ready_while_there_is_an_address(net: Network) -> None:
    """Agent and store may be away; the last address is what counts."""
    hold("10.64.0.0/29")
    net.fill(4)
    assert net.call("STATUS").status == 0
    net.fill(1, start=4)
    assert net.call("STATUS").error["code"] == 50
    assert net.call("DEL", "f0").status == 0
    assert net.call("STATUS").status == 0


def test_status_has_the_agent_give_what_it_can(net: Network) -> None:
    """A block that comes in time is as good as one that is there."""
    with agent("apps", {POOL: 30}) as server:
        server.claim(4, 0)
        net.fill(1)
        assert net.call("STATUS").status == 0
        assert len(server.asked) >= 1


@pytest.mark.parametrize("verb", ["ADD", "STATUS"])
def test_a_node_that_has_not_joined_says_so(net: Network, verb: str) -> None:
    """No file of blocks: the way out is named, and nobody is asked."""
    error = net.call(verb).error
    assert error["code"] == (11 if verb == "ADD" else 50)
    assert error["msg"] == f"read {held.path('apps')}: no such file"
    assert "cnipy net join" in error["details"]
    assert net.leases == set()


@pytest.mark.parametrize("content", ["{", '{"pools": [], "blocks": []}', "link"])
def test_a_broken_file_is_named_and_nothing_changes(
    net: Network, tmp_path: Path, content: str
) -> None:
    """ADD, CHECK and STATUS refuse; DEL and GC do not need it."""
    hold("10.64.0.0/29")
    net.fill(2)
    file = tmp_path / "net" / "apps" / "blocks"
    if content == "link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_text(content)
    for verb in ("ADD", "STATUS"):
        error = net.call(verb).error
        assert str(file) in error["msg"]
        assert error["code"] == 50 if verb == "STATUS" else error["code"] in {5, 6}
    assert net.leases == {"10.64.0.2", "10.64.0.3"}
    assert net.call("DEL", "f0").status == 0
    valid = {"cni.dev/valid-attachments": []}
    assert net.call("GC", more=valid).status == 0
    assert net.leases == set()


def test_an_unusable_block_gives_nothing_and_keeps_what_it_gave(net: Network) -> None:
    """CHECK of who has an address of it passes, DEL releases it."""
    hold("10.64.0.0/29", "10.64.8.0/29")
    result = net.call("ADD", "old").document
    hold("10.64.0.0/29", "10.64.8.0/29", unusable=("10.64.0.0/29",))
    assert net.call("CHECK", "old", more={"prevResult": result}).status == 0
    assert net.fill(1) == ["10.64.8.2"]
    refused = net.call("ADD", "c9", runtime={"ips": ["10.64.0.5"]}).error
    assert refused["code"] == 7
    assert net.call("DEL", "old").status == 0
    assert net.leases == {"10.64.8.2"}
    hold("10.64.8.0/29")
    forged = {"prevResult": result}
    assert net.call("CHECK", "old", more=forged).error["code"] == 999


@pytest.mark.parametrize("becomes", ["10.64.8.0/29", "nothing"])
def test_blocks_that_change_while_an_add_waits_are_read_again(
    net: Network, becomes: str
) -> None:
    """What the node has given back meanwhile, or lost, is given to nobody."""
    hold("10.64.0.0/29")
    net.fill(1)
    lock = net.room / "networks" / "apps" / "lock"
    with lock.open() as file, ThreadPoolExecutor(1) as pool:
        fcntl.flock(file, fcntl.LOCK_EX)
        added = pool.submit(net.call, "ADD", "late")
        _await_waiter(lock)
        if becomes == "nothing":
            held.erase("apps")
        else:
            hold("10.64.0.0/29", becomes, unusable=("10.64.0.0/29",))
        fcntl.flock(file, fcntl.LOCK_UN)
        late = added.result()
    if becomes == "nothing":
        assert late.failure == (11, f"read {held.path('apps')}: no such file")
        assert net.leases == {"10.64.0.2"}
    else:
        assert late.addresses == ["10.64.8.2"]


def _await_waiter(lock: Path) -> None:
    """Wait until somebody waits for the lock (proc_locks(5))."""
    until = time.monotonic() + 5 * PATIENCE
    waiting = f":{lock.stat().st_ino} "
    while True:
        lines = Path("/proc/locks").read_text().splitlines()
        if any("->" in line and waiting in line for line in lines):
            return
        assert time.monotonic() < until
        time.sleep(0.01)


def test_check_misses_a_lease_that_somebody_removed(
    net: Network, tmp_path: Path
) -> None:
    """The address of prevResult must be leased to this attachment."""
    hold("10.64.0.0/29")
    prev = {"prevResult": net.call("ADD").document}
    assert net.call("CHECK", more=prev).status == 0
    (tmp_path / "networks" / "apps" / "10.64.0.2").unlink()
    assert net.call("CHECK", more=prev).error["code"] == 999


def test_an_address_asked_for_is_of_this_node(net: Network) -> None:
    """One of another node's block is refused by name, one of ours is given once."""
    hold("10.64.3.0/26", "10.64.4.0/26")
    wanted = {"ips": ["10.64.4.9"]}
    assert net.call("ADD", "c1", runtime=wanted).addresses == ["10.64.4.9"]
    assert net.call("ADD", "c2", runtime=wanted).error["code"] == 11
    error = net.call("ADD", "c3", runtime={"ips": ["10.64.5.9"]}).error
    assert (error["code"], error["msg"]) == (
        7,
        "allocate addresses: 10.64.5.9 is in no block of this node",
    )
    assert "10.64.3.0/26, 10.64.4.0/26" in error["details"]
    error = net.call("ADD", "c3", runtime={"ips": ["10.64.4.1"]}).error
    assert (error["code"], "gateway" in error["msg"]) == (7, True)


def test_gc_releases_what_is_of_nobody(net: Network) -> None:
    """What is valid stays, whatever block it is of."""
    hold("10.64.0.0/29", "10.64.8.0/29")
    net.fill(7)
    valid = [{"containerID": f"f{n}", "ifname": "eth0"} for n in (0, 6)]
    assert net.call("GC", more={"cni.dev/valid-attachments": valid}).status == 0
    assert net.leases == {"10.64.0.2", "10.64.8.3"}
