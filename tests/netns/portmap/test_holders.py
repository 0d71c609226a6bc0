# SPDX-License-Identifier: Apache-2.0
"""portmap: who holds a port of the host, and who gives way to whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from lab import nft_objects, run
from netns.portmap.helpers import (
    NODE,
    TABLE,
    Node,
    ask_from,
    elements,
    mapping,
    owners,
    request,
    rules,
    serving,
)

from cni_common.kernel import nft

if TYPE_CHECKING:
    from lab import Cni, Host


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.mark.parametrize(
    ("held", "wanted"),
    (
        ({}, {}),
        ({}, {"hostIP": NODE}),
        ({"hostIP": NODE}, {}),
        ({"hostIP": NODE}, {"hostIP": "0.0.0.0"}),
        ({"hostIP": NODE}, {"hostIP": NODE}),
        ({"hostIP": "::"}, {"hostIP": "fd01::1"}),
    ),
)
def test_living_holder_is_named(
    node: Node, held: dict[str, str], wanted: dict[str, str]
) -> None:
    """A port that a living container holds is refused, and the message names it."""
    holder, other = node.container(2), node.container(3)
    node.publish(holder, 2, mapping(8080, **held), container_id="holder")
    before = nft_objects(*TABLE)
    conf, options = request(other, 3, mapping(8080, **wanted), mapping(8081))
    error = node.cni.refused("portmap", "ADD", conf, **options)
    where = f" of {wanted['hostIP']}" if wanted else ""
    assert error["msg"] == (
        f"publish tcp port 8080{where}: held by container holder "
        "(interface eth0, network net)"
    )
    assert error["code"] == 999
    assert nft_objects(*TABLE) == before


@pytest.mark.parametrize(
    ("held", "wanted"),
    (
        ({"hostIP": NODE}, {"hostIP": "10.1.0.1"}),
        ({"hostIP": "0.0.0.0"}, {"hostIP": "::"}),
        ({"protocol": "udp"}, {"protocol": "tcp"}),
        ({"protocol": "sctp"}, {"protocol": "tcp"}),
    ),
)
def test_different_places_are_no_conflict(
    node: Node, held: dict[str, str], wanted: dict[str, str]
) -> None:
    """One number is published twice where address, family or protocol differ."""
    node.publish(node.container(2), 2, mapping(8080, **held))
    node.publish(node.container(3), 3, mapping(8080, **wanted))
    names = ("hostports4", "hostports6", "hostip_ports4")
    values = [value for name in names for value in elements(name).values()]
    assert {value.split(" . ")[0][-1] for value in values} == {"2", "3"}


def test_port_of_a_dead_holder_is_taken_over(node: Node) -> None:
    """A holder that vanished gives way, and its late DEL takes nothing away."""
    gone, heir = node.container(2), node.container(3)
    conf, options = request(gone, 2, mapping(8080))
    node.cni.ok("portmap", "ADD", conf, **options)
    gone.delete()
    node.publish(heir, 3, mapping(8080))
    with serving(heir, "heir"):
        assert ask_from(node.outside, NODE, 8080) == "heir 198.51.100.2"
        node.cni.ok("portmap", "DEL", conf, **options)
        assert ask_from(node.outside, NODE, 8080) == "heir 198.51.100.2"
        assert ask_from(heir, NODE, 8080) == "heir 10.1.0.1"


def test_reused_address_takes_the_port_over(node: Node) -> None:
    """A container with the holder's address supersedes it, though its netns lives."""
    old = node.container(2)
    conf, options = request(old, 2, mapping(8080), container_id="old")
    node.cni.ok("portmap", "ADD", conf, **options)
    run("ip", "link", "delete", "br0p2")
    new = node.container(2)
    node.publish(new, 2, mapping(8080, 81), container_id="new")
    node.cni.ok("portmap", "DEL", conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 81"}
    assert owners("hostports4") == ["net new eth0"]


def test_overlapping_subnets_take_no_port(node: Node) -> None:
    """A container of another network with the holder's very address is refused."""
    holder, other = node.container(2), node.host.space()
    node.publish(holder, 2, mapping(8080), container_id="holder")
    before = nft_objects(*TABLE)
    conf, options = request(other, 2, mapping(8080), name="twin", container_id="c9")
    error = node.cni.refused("portmap", "ADD", conf, **options)
    assert error["msg"] == (
        "publish tcp port 8080: held by container holder (interface eth0, network net)"
    )
    assert "10.1.0.2, fd01::2 is the address of both" in error["details"]
    assert nft_objects(*TABLE) == before


@pytest.mark.parametrize("kept", ("10.1.0.2/24", "fd01::2/64", ""))
def test_address_that_the_holder_has_takes_no_port(node: Node, kept: str) -> None:
    """In one network, too, the holder gives way only when its address is gone."""
    holder, other = node.container(2), node.host.space()
    node.publish(holder, 2, mapping(8080), container_id="holder")
    at = ("ip", "-n", holder.name, "addr")
    for address in ("10.1.0.2/24", "fd01::2/64"):
        if address != kept:
            run(*at, "del", address, "dev", "eth0")
    conf, options = request(other, 2, mapping(8080), container_id="c9")
    if kept:
        error = node.cni.refused("portmap", "ADD", conf, **options)
        assert "held by container holder" in error["msg"]
    else:
        node.cni.ok("portmap", "ADD", conf, **options)
        assert owners("hostports4") == ["net c9 eth0"]


def test_repeated_add_leaves_the_latest_wish(node: Node) -> None:
    """ADD again replaces what the attachment published; nothing is there twice."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), mapping(8081))
    once = nft_objects(*TABLE)
    node.publish(space, 2, mapping(8080), mapping(8081))
    assert nft_objects(*TABLE) == once
    node.publish(space, 2, mapping(8081, 81), mapping(8082))
    assert elements("hostports4") == {
        "tcp . 8081": "10.1.0.2 . 81",
        "tcp . 8082": "10.1.0.2 . 80",
    }


def test_add_without_mappings_withdraws_earlier_ones(node: Node) -> None:
    """ADD again without mappings hands prevResult on and leaves nothing published."""
    space = node.container(2)
    result = node.publish(space, 2, mapping(8080))
    assert node.publish(space, 2) == result
    assert nft_objects(*TABLE) == []


def test_container_in_two_networks_keeps_both(node: Node) -> None:
    """Mappings sent to both networks work through the first, then through the other."""
    node.add_bridge("br1", "10.2.0", "fd02")
    space = node.container(2)
    node.container(2, "br1", space)
    both = {"container_id": "c"}
    node.publish(space, 2, mapping(8080), **both)
    node.publish(space, 2, mapping(8080), name="net2", ifname="eth1", **both)
    assert elements("hostports4") == {"tcp . 8080": "10.1.0.2 . 80"}
    conf, options = request(space, 2, **both)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert elements("hostports4") == {"tcp . 8080": "10.2.0.2 . 80"}
    conf, options = request(space, 2, name="net2", ifname="eth1", **both)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert nft_objects(*TABLE) == []


def test_flushed_ruleset_comes_back_whole(node: Node) -> None:
    """After `nft flush ruleset` the next ADD brings everybody's ports back."""
    first, second = node.container(2), node.container(3)
    node.publish(first, 2, mapping(8080))
    run("nft", "flush", "ruleset")
    node.publish(second, 3, mapping(8081))
    with serving(first, "first"), serving(second, "second"):
        assert ask_from(node.outside, NODE, 8080) == "first 198.51.100.2"
        assert ask_from(node.outside, NODE, 8081) == "second 198.51.100.2"


def test_foreign_element_is_overridden(node: Node) -> None:
    """An element that nobody claims does not block a port, nor stay."""
    node.publish(node.container(2), 2, mapping(8080))
    stray = "{ tcp . 8081 : 10.9.9.9 . 9 }"
    run("nft", "add", "element", "inet", "cnipy_portmap", "hostports4", stray)
    node.publish(node.container(3), 3, mapping(8081))
    assert elements("hostports4") == {
        "tcp . 8080": "10.1.0.2 . 80",
        "tcp . 8081": "10.1.0.3 . 80",
    }


def test_rules_stay_the_same_for_any_number(node: Node) -> None:
    """A second container adds elements, and no rule."""
    node.publish(node.container(2), 2, mapping(8080))
    before = rules()
    node.publish(node.container(3), 3, *(mapping(9000 + i) for i in range(500)))
    assert rules() == before
    assert len(elements("hostports4")) == 501


def test_sctp_is_published(node: Node) -> None:
    """A mapping for SCTP has its element in both families."""
    node.publish(node.container(2), 2, mapping(3868, 3868, protocol="SCTP"))
    assert elements("hostports4") == {"sctp . 3868": "10.1.0.2 . 3868"}
    assert elements("hostports6") == {"sctp . 3868": "fd01::2 . 3868"}


def test_parallel_adds_and_deletes_lose_nothing(node: Node) -> None:
    """20 ADDs at once publish 20 ports, and 20 DELs at once leave no table."""
    spaces = {number: node.container(number) for number in range(2, 22)}

    def call(verb: str, number: int) -> None:
        conf, options = request(spaces[number], number, mapping(8000 + number))
        answer = node.cni("portmap", verb, conf, **options)
        assert answer.status == 0, answer.stdout

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda number: call("ADD", number), spaces))
    assert len(elements("hostports4")) == 20
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda number: call("DEL", number), spaces))
    assert nft_objects(*TABLE) == []


def test_add_and_delete_cost_one_transaction(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside others, ADD and DEL ask nft once each, and list nothing."""
    node.publish(node.container(2), 2, mapping(8080))
    conf, options = request(node.container(3), 3, mapping(8081), mapping(8082))
    asked: list[str] = []
    real = nft._command

    def spy(text: str, *, as_json: bool = False) -> str:
        asked.append(text)
        return real(text, as_json=as_json)

    monkeypatch.setattr(nft, "_command", spy)
    node.cni.ok("portmap", "ADD", conf, **options)
    node.cni.ok("portmap", "DEL", conf, **options)
    assert len(asked) == 2
    verbs = {line.split()[0] for text in asked for line in text.splitlines()}
    assert verbs == {"add", "delete"}
