# SPDX-License-Identifier: Apache-2.0
"""A node among many is broken by its agent or its store; doctor and metrics tell."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from netns.net.machines import wait_until

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

# Two blocks with room for one container each.
TINY = ("--pool", "10.99.0.0/29", "--block", "30", "--backend", "host-gw")


@pytest.fixture(scope="module")
def node(lan: Lan) -> Node:
    """A node that is in the network `apps`, with an agent that hears of the store."""
    node = lan.node(11)
    node.ok("net", "create", "apps", "--pool", "10.64.0.0/16")
    node.start()
    node.ok("net", "join", "apps")
    wait_until(lambda: "cnipy_net_heard_seconds" in measured(node))
    return node


def measured(node: Node) -> dict[str, float]:
    """Return what is measured of networks of many nodes, without labels."""
    found = {}
    for line in node.ok("metrics").splitlines():
        if line.startswith("cnipy_net_"):
            name, _, value = line.rpartition(" ")
            found[name.partition("{")[0]] = float(value)
    return found


def findings(node: Node) -> list[dict[str, Any]]:
    """Return what the doctor finds that is about nodes."""
    _, stdout, _ = node.cnipy("doctor", "--json")
    names = {"agent-dead", "store-away", "net-fault", "range-full"}
    return [each for each in json.loads(stdout) if each["name"] in names]


def test_node_that_is_well_has_numbers_and_no_finding(node: Node) -> None:
    """The agent answers, one block is held, and nobody leases of it."""
    told = measured(node)
    assert told.pop("cnipy_net_heard_seconds") < 30
    assert told == {
        "cnipy_net_agent_up": 1,
        "cnipy_net_blocks": 1,
        "cnipy_net_blocks_spare": 1,
        "cnipy_net_peers": 0,
        "cnipy_net_faults": 0,
    }
    assert findings(node) == []
    assert "networks (apps)" in node.cnipy("doctor")[1]


def test_block_with_a_lease_is_not_spare(node: Node) -> None:
    """Held are two after the first container, and one of them has room in reserve."""
    node.container("apps", "web")
    wait_until(lambda: measured(node)["cnipy_net_blocks"] == 2)
    assert measured(node)["cnipy_net_blocks_spare"] == 1
    node.ok("del", "apps", "web")


def test_agent_that_died_is_found_with_its_unit(node: Node) -> None:
    """Where systemd has the unit, the cure is to start it."""
    node.stop(signal.SIGKILL)
    try:
        (found,) = findings(node)
        assert found["name"] == "agent-dead"
        assert "apps" in found["what"]
        assert "cnipy net agent" in found["cure"][0]
        units = node.path("/run/systemd/system")
        units.mkdir(parents=True)
        (found,) = findings(node)
        assert "systemd has no cnipy-net.service" in found["cause"]
        (units / "cnipy-net.service").write_text("[Service]\n")
        (found,) = findings(node)
        assert "/run/systemd/system/cnipy-net.service is not started" in found["cause"]
        assert found["cure"][0] == "systemctl enable --now cnipy-net.service"
        assert measured(node)["cnipy_net_agent_up"] == 0
        assert "cnipy_net_heard_seconds" not in measured(node)
    finally:
        node.start()
    wait_until(lambda: not findings(node))


def test_ways_that_no_agent_puts_back_are_found(node: Node) -> None:
    """What the kernel lacks is told beside the agent that is dead."""
    node.stop()
    try:
        node.run("ip", "link", "delete", "cnipy.1")
        dead, lost = findings(node)
        assert (dead["name"], lost["name"]) == ("agent-dead", "net-fault")
        assert (lost["network"], lost["cause"]) == (
            "apps",
            "there is no device cnipy.1",
        )
        node.ok(*lost["cure"][0].split()[1:])
        assert [each["name"] for each in findings(node)] == ["agent-dead"]
    finally:
        node.start()
    wait_until(lambda: not findings(node))


def test_uninstall_names_networks_that_the_node_is_in(node: Node) -> None:
    """For leaving them the command is needed that goes."""
    _, _, told = node.cnipy(
        *("uninstall", "--bin-dir", "/run/none", "--unit-dir", "/run/none")
    )
    assert "still in networks apps" in told
    assert "`cnipy net leave`" in told


def test_network_that_the_node_cannot_follow_is_found(lan: Lan, node: Node) -> None:
    """The agent hears of the store, and what it hears it cannot do."""
    key = "/cnipy/v1/apps/config"
    whole = lan.store()[key]
    shrunk = json.loads(whole)
    shrunk["pools"][0]["network"] = "10.64.0.0/24"
    lan.etcdctl("put", key, input=json.dumps(shrunk))
    node.stop()
    node.start()
    wait_until(lambda: "net-fault" in [each["name"] for each in findings(node)])
    (found,) = findings(node)
    assert found["network"] == "apps"
    assert "has become 10.64.0.0/24 in blocks of /" in found["cause"]
    assert found["cure"][0] == "cnipy net repair --network apps"
    assert measured(node)["cnipy_net_faults"] == 1
    lan.etcdctl("put", key, input=whole)
    wait_until(lambda: not findings(node))


def test_store_that_was_never_there_is_found(lan: Lan, node: Node) -> None:
    """An agent that came while the store was away has not heard of it."""
    node.stop()
    lan.stop_etcd()
    node.start()
    wait_until(lambda: any("away" in each["cause"] for each in findings(node)))
    (found,) = findings(node)
    assert (found["name"], found["network"]) == ("store-away", "apps")
    assert "never since the agent runs" in found["cause"]
    lan.start_etcd()
    wait_until(lambda: not findings(node))


def test_agent_that_hangs_is_found_in_time(node: Node) -> None:
    """Doctor and status say that it does not answer, and wait for no minute."""
    assert node.agent is not None
    # What nsenter(1) has become.
    node.agent.send_signal(signal.SIGSTOP)
    try:
        (found,) = findings(node)
        assert found["name"] == "agent-dead"
        assert "ask the agent at /run/cnipy/net.sock: timed out" in found["cause"]
        assert found["cure"][0] == "systemctl restart cnipy-net.service"
        _, stdout, _ = node.cnipy("net", "status")
        assert "agent: ask the agent at /run/cnipy/net.sock: timed out" in stdout
        assert json.loads(node.cnipy("net", "status", "--json")[1])["agent"] is None
    finally:
        node.agent.send_signal(signal.SIGCONT)
    wait_until(lambda: not findings(node))


def test_full_block_is_none_where_the_agent_claims_another(
    lan: Lan, node: Node
) -> None:
    """While nobody asks it and it can; it is one when the store is away, or the pool
    is all claimed.
    """
    node.ok("net", "create", "tiny", *TINY)
    node.ok("net", "join", "tiny")
    node.container("tiny", "one")
    wait_until(lambda: not [*lacking(node)])
    lan.stop_etcd()
    try:
        node.container("tiny", "two")
        wait_until(lambda: lacking(node))
        (found,) = lacking(node)
        assert found["cure"][1].startswith("cnipy net status ")
    finally:
        lan.start_etcd()
    wait_until(lambda: "all 2 blocks are claimed" in node.cnipy("net", "status")[1])
    (found,) = lacking(node)
    assert "10.99.0." in found["cause"]
    for name in ("one", "two"):
        node.ok("del", "tiny", name)
    node.ok("net", "leave", "tiny")
    node.ok("net", "rm", "tiny")


def lacking(node: Node) -> list[dict[str, Any]]:
    """Return what the doctor finds of addresses."""
    return [each for each in findings(node) if each["name"] == "range-full"]
