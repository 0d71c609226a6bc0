# SPDX-License-Identifier: Apache-2.0
"""`cnipy why` for a container of another node, which is broken in many ways."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from netns.net.machines import COMMAND, environment, wait_until

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

DROPPING = "add table inet site; add chain inet site {0} {{ type filter hook {0} \
priority 0; {1} }}"
DROP = f"{DROPPING}; add rule inet site {{0}} udp dport 4790 {{2}}"

UNDERLAY = "192.0.2.{0}, 2001:db8::{0}"


@pytest.fixture(scope="module")
def nodes(lan: Lan) -> dict[int, Node]:
    """Nodes by number, each with a container of `apps`; those of 12 to 16 have no agent
    any more, so that what is broken stays so.
    """
    found = {number: lan.node(number) for number in range(11, 17)}
    found[11].ok("net", "create", "apps", "--pool", "10.64.0.0/16")
    for each in found.values():
        each.start()
        each.ok("net", "join", "apps")
    for number, each in found.items():
        each.container("apps", f"c{number}")
    one = found.pop(11)
    for each in found.values():
        at = address(each)
        wait_until(lambda a=at: one.reaches(a, by="c11"))
        wait_until(lambda a=at: f"/cnipy/v1/apps/addresses/{a}" in lan.store())
        each.stop()
    return {11: one, **found}


def address(node: Node) -> str:
    """Return the address of the node's container."""
    (space,) = (
        each for each in node.run("ip", "netns", "list").split() if each[0] == "c"
    )
    shown = node.run("ip", "-n", space, "-j", "-4", "address", "show", "eth0")
    return str(json.loads(shown)[0]["addr_info"][0]["local"])


def asked(node: Node, *words: str) -> subprocess.Popen[str]:
    """Have a question of `cnipy why` begin."""
    command = node.words(str(COMMAND), "why", *words, "--json")
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment()
    )


def cause(question: subprocess.Popen[str]) -> Any:
    """Return the cause that is found."""
    told, _ = question.communicate(timeout=60)
    return json.loads(told)["cause"]


def test_each_way_in_which_another_node_is_lost_has_its_cause(
    lan: Lan, nodes: dict[int, Node]
) -> None:
    """All are asked at once, for what does not answer is waited for."""
    at = {number: address(node) for number, node in nodes.items()}
    one = nodes[11]
    nodes[12].run("nft", DROP.format("input", "", "drop"))
    nodes[13].run("nft", DROPPING.format("forward", "policy drop;"))
    lan.cut(14)
    nodes[15].run("ip", "link", "del", "cnipy.1")
    lan.switch.run("ip", "link", "set", "p16", "mtu", "1400")
    status, told, _ = one.cnipy("net", "ping", "-c", "1")
    lines = told.splitlines()
    assert status == 1
    for number, what in (
        (12, "0 of 1"),
        (13, "1 of 1"),
        (14, "0 of 1"),
        (16, "1 of 1"),
    ):
        at_head = lines.index(f"n{number} in apps, at {UNDERLAY.format(number)}")
        assert f": {what} answered" in lines[at_head + 1]
        follows = "`cnipy why host" in lines[at_head + 2]
        assert follows == (number != 13)
    assert "do not pass" in told
    assert f"--size {one.told('net', 'ping', 'n13')[0]['addresses'][0]['mtu']}`" in told
    questions = {number: asked(one, "c11", at[number]) for number in range(12, 16)}
    questions[16] = asked(one, "c11", at[16], "--size", "1440")
    found = {number: cause(each) for number, each in questions.items()}
    assert {number: each["name"] for number, each in found.items()} == {
        12: "shut-between",
        13: "lost-on-node",
        14: "node-away",
        15: "refused-beyond",
        16: "too-big",
    }
    for number, each in found.items():
        assert f"is of node n{number} in network apps" in each["text"]
    assert "UDP 4790" in found[12]["text"]
    assert "cnipy net forget n14" in found[14]["change"][-1]
    # What is to be called there names the rule that nobody sees from here.
    there = found[12]["change"][-1].partition("   #")[0].split()[2:]
    dropped = cause(asked(nodes[12], *there))
    assert dropped["rule"] == "udp dport 4790 drop"
    there = found[13]["change"][0].partition("   #")[0].split()[2:]
    dropped = cause(asked(nodes[13], *there))
    assert "no rule of inet site forward accepts it" in dropped["text"]
    for number in (12, 13):
        nodes[number].run("nft", "delete table inet site")
    lan.cut(14, off=False)
    nodes[15].ok("net", "repair")
    lan.switch.run("ip", "link", "set", "p16", "mtu", "1500")


def test_what_this_node_lacks_or_drops_is_named(nodes: dict[int, Node]) -> None:
    """A block of nobody, a rule of its own, and ways that somebody took."""
    one = nodes[11]
    at = address(nodes[12])
    assert cause(asked(one, "c11", "10.64.255.254"))["name"] == "no-node"
    one.run("nft", DROP.format("output", "", "drop"))
    found = cause(asked(one, "c11", at))
    assert (found["name"], found["rule"]) == ("dropped", "udp dport 4790 drop")
    one.run("nft", "delete table inet site")
    one.stop()
    for command, lacks in (
        (("ip", "nexthop", "flush", "proto", "78"), "no nexthop"),
        (("ip", "link", "set", "cnipy.1", "down"), "the device cnipy.1 is down"),
        (("ip", "link", "del", "cnipy.1"), "there is no device cnipy.1"),
    ):
        one.run(*command)
        found = cause(asked(one, "c11", at))
        assert found["name"] == "no-way"
        assert lacks in found["text"]
        assert found["change"][0] == "cnipy net repair --network apps"
        assert "start the agent" in found["change"][1]
        one.ok("net", "repair")
        assert cause(asked(one, "c11", at)) is None
    one.start()


def test_container_of_another_node_is_known_by_its_name(
    lan: Lan, nodes: dict[int, Node]
) -> None:
    """With the domain or without, and nobody by any other."""
    assert "/cnipy/v1/apps/names/c12" in lan.store()
    for word in ("c12", "c12.apps"):
        told, _ = asked(nodes[11], "c11", word).communicate(timeout=60)
        assert json.loads(told)["target"] == address(nodes[12])
    assert "find container c99.apps: unknown" in nodes[11].refused(
        "why", "c11", "c99.apps"
    )


def test_datagram_that_the_kernel_takes_has_arrived(nodes: dict[int, Node]) -> None:
    """The port of a tunnel has no socket of a process, and never answers."""
    question = asked(nodes[11], "192.0.2.12", "192.0.2.11:4790/udp")
    told, _ = question.communicate(timeout=60)
    assert "it arrived; to UDP nobody need answer" in json.loads(told)["text"]
