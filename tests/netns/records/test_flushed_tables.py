# SPDX-License-Identifier: Apache-2.0
"""What somebody flushed of our tables comes back with the next ADD."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from lab import nft_objects, run
from netns.bridge.helpers import conf
from netns.firewall.helpers import INET, PORTS, Guarded, unreached
from netns.portmap.helpers import NODE, Node, ask_from, mapping, request, serving
from rulesets import chains, table

from cni_common import duplicates, spoofcheck
from cni_common.naming import Attachment

if TYPE_CHECKING:
    from lab import Cni, Host

PORTMAP = ("inet", "cnipy_portmap")
DUPLICATES = ("bridge", "cnipy_duplicates")
MASQUERADE, SPOOFCHECK = ("inet", "cnipy_masquerade"), ("bridge", "cnipy_spoofcheck")
CONDITIONS = {"conditionsV4": ["iifname", "!=", "up0"]}
ISOLATED = {"ingressPolicy": "isolated"}


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def guarded(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges that drops nothing."""
    return Guarded(host, cni)


def flushes(place: tuple[str, str]) -> list[list[str]]:
    """Return the words for nft that take all rules of a table, or those of a chain."""
    each = [["flush", "chain", *place, chain] for chain in chains(*place)]
    return [["flush", "table", *place], *each]


def emptied(*place: str) -> list[list[str]]:
    """Return the words for nft that take all elements of each set and map that has any.

    Those whose elements are ranges are no container's.
    """
    found = []
    for item in nft_objects("table", *place):
        ((kind, described),) = item.items()
        if kind in {"set", "map"} and described.get("elem"):
            found.append(["flush", kind, *place, described["name"]])
    return found


def test_next_published_port_restores_every_rule(node: Node) -> None:
    """portmap: after any chain was flushed, conditions' too, one ADD restores all."""
    node.publish(node.container(2), 2, mapping(8080), name="bound", **CONDITIONS)
    node.publish(node.container(3), 3, mapping(8081))
    last = node.container(4)
    conf, options = request(last, 4, mapping(8082))
    node.cni.ok("portmap", "ADD", conf, **options)
    before = table(*PORTMAP)
    damages = flushes(PORTMAP)
    assert len(damages) == 12
    for damage in damages:
        node.cni.ok("portmap", "DEL", conf, **options)
        run("nft", *damage)
        node.cni.ok("portmap", "ADD", conf, **options)
        assert table(*PORTMAP) == before, damage


def test_next_published_port_restores_every_element(node: Node) -> None:
    """portmap: after any map or set was flushed, another kind of port restores all."""
    node.publish(node.container(2), 2, mapping(8080), name="bound", **CONDITIONS)
    both = mapping(8081), mapping(8082, hostIP=NODE), mapping(8083, hostIP="fd01::1")
    node.publish(node.container(3), 3, *both)
    node.publish(node.container(4), 4, mapping(8084), masqAll=True)
    last = node.container(5)
    conf, options = request(last, 5, mapping(8085), snat=False, families=(4,))
    node.cni.ok("portmap", "ADD", conf, **options)
    before = table(*PORTMAP)
    damages = emptied(*PORTMAP)
    assert len(damages) == 10
    for damage in damages:
        node.cni.ok("portmap", "DEL", conf, **options)
        run("nft", *damage)
        node.cni.ok("portmap", "ADD", conf, **options)
        assert table(*PORTMAP) == before, damage
    conf, options = request(last, 6, container_id="without")
    for damage in damages:
        run("nft", *damage)
        node.cni.ok("portmap", "ADD", conf, **options)
        assert table(*PORTMAP) == before, damage


def test_port_of_an_earlier_version_is_restored(node: Node) -> None:
    """portmap: where nobody noted who has elements where, one ADD finds out."""
    node.publish(node.container(2), 2, mapping(8080))
    before = table(*PORTMAP)
    shutil.rmtree("/run/cni/cnipy/table-samples")
    conf, options = request(node.container(3), 3, mapping(8081))
    for _ in range(2):
        run("nft", "flush", "map", *PORTMAP, "hostports4")
        node.cni.ok("portmap", "ADD", conf, **options)
        node.cni.ok("portmap", "DEL", conf, **options)
        assert table(*PORTMAP) == before


def test_single_deleted_rule_is_noticed(node: Node) -> None:
    """portmap: one rule that was deleted by its handle comes back with the next ADD."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    before = table(*PORTMAP)
    (first, _) = nft_objects("chain", *PORTMAP, "guard")[1:]
    handle = str(first["rule"]["handle"])
    run("nft", "delete", "rule", *PORTMAP, "guard", "handle", handle)
    node.publish(space, 2, mapping(8080))
    assert table(*PORTMAP) == before


@pytest.mark.parametrize("verb", ["ADD", "GC"])
def test_calls_without_ports_restore_the_rules(node: Node, verb: str) -> None:
    """portmap: an ADD that publishes nothing, and GC, restore the rules of others."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080))
    before = table(*PORTMAP)
    run("nft", "flush", "ruleset")
    conf, options = request(node.container(3), 3)
    if verb == "GC":
        valid = [{"containerID": "c2", "ifname": "eth0"}]
        conf |= {"cni.dev/valid-attachments": valid}
    node.cni.ok("portmap", verb, conf, **options)
    assert table(*PORTMAP) == before
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == "web 198.51.100.2"


@pytest.mark.parametrize(
    "damage",
    [
        "flush ruleset",
        "delete table inet cnipy_portmap",
        "flush table inet cnipy_portmap",
        "flush chain inet cnipy_portmap guard",
        "flush map inet cnipy_portmap hostports4",
        "delete element inet cnipy_portmap hostports4 { tcp . 8080 }",
        "flush set inet cnipy_portmap hairpin4",
        "add element inet cnipy_portmap hostports4 { tcp . 8080 : 10.9.9.9 . 9 }",
    ],
)
def test_repeated_publication_restores_everything(node: Node, damage: str) -> None:
    """portmap: ADD again, with nothing new, has all rules and elements of all back."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080), mapping(8083))
    node.publish(node.container(3), 3, mapping(8081))
    before = table(*PORTMAP)
    if damage.startswith("add"):
        run("nft", "delete element inet cnipy_portmap hostports4 { tcp . 8080 }")
    run("nft", damage)
    node.publish(space, 2, mapping(8080), mapping(8083))
    assert table(*PORTMAP) == before
    with serving(space, "web"):
        assert ask_from(node.outside, NODE, 8080) == "web 198.51.100.2"


def test_next_container_restores_the_isolation(guarded: Guarded) -> None:
    """firewall: after any chain was flushed, one ADD keeps networks apart again."""
    guarded.ok("ADD", guarded.container(2), 2, **ISOLATED)
    other = guarded.neighbour(2)
    guarded.ok("ADD", other, 2, bridge="br1", **ISOLATED)
    last = guarded.container(3)
    guarded.ok("ADD", last, 3, **ISOLATED)
    before = table(*INET), table(*PORTS)
    damages = flushes(INET) + flushes(PORTS)
    assert len(damages) == 8
    for damage in damages:
        guarded.ok("DEL", last, 3, **ISOLATED)
        run("nft", *damage)
        guarded.ok("ADD", last, 3, **ISOLATED)
        assert (table(*INET), table(*PORTS)) == before, damage
    with serving(last, "last"):
        assert unreached(other, ("10.1.0.3", 80))


def test_next_container_restores_every_address_and_link(guarded: Guarded) -> None:
    """firewall: after any set was flushed, a container of another kind restores all."""
    guarded.ok("ADD", guarded.container(2), 2, **ISOLATED)
    remote = {"pools": ["10.2.0.0/16", "fd02::/48"], "overlayLink": "ov2"}
    guarded.ok("ADD", guarded.neighbour(2), 2, bridge="br1", **ISOLATED, **remote)
    iptables = {"backend": "iptables", "ingressPolicy": "same-bridge"}
    guarded.ok("ADD", guarded.container(4), 4, **iptables)
    last = guarded.container(3)
    for place, keys, number in ((INET, {}, 13), (PORTS, ISOLATED, 1)):
        guarded.ok("ADD", last, 3, **keys)
        before = table(*INET), table(*PORTS)
        damages = emptied(*place)
        assert len(damages) == number
        for damage in damages:
            guarded.ok("DEL", last, 3, **keys)
            run("nft", *damage)
            guarded.ok("ADD", last, 3, **keys)
            assert (table(*INET), table(*PORTS)) == before, damage
        guarded.ok("DEL", last, 3, **keys)


@pytest.mark.parametrize(
    "damage",
    [
        "flush ruleset",
        "flush table inet cnipy_firewall",
        "flush table bridge cnipy_firewall",
        "flush set inet cnipy_firewall containers4",
        "flush set inet cnipy_firewall guarded",
        "flush set bridge cnipy_firewall isolated",
    ],
)
def test_repeated_protection_restores_everything(guarded: Guarded, damage: str) -> None:
    """firewall: ADD again has all rules and elements of all containers back."""
    first = guarded.container(2)
    guarded.ok("ADD", first, 2, **ISOLATED)
    guarded.ok("ADD", guarded.neighbour(2), 2, bridge="br1", **ISOLATED)
    before = table(*INET), table(*PORTS)
    run("nft", damage)
    guarded.ok("ADD", first, 2, **ISOLATED)
    assert (table(*INET), table(*PORTS)) == before


def test_administrators_rules_stay(guarded: Guarded) -> None:
    """firewall: rules in `admin` are neither missed when flushed nor lost by repair."""
    space = guarded.container(2)
    guarded.ok("ADD", space, 2, **ISOLATED)
    run("nft", "add", "rule", *INET, "admin", "tcp", "dport", "22", "drop")
    before = table(*INET)
    run("nft", "flush", "chain", *INET, "isolation")
    guarded.ok("ADD", space, 2, **ISOLATED)
    assert table(*INET) == before


def test_next_port_restores_spoof_protection(cni: Cni, host: Host) -> None:
    """bridge: after the two rules were flushed, the next guarded port has them back."""
    wanted = conf(macspoofchk=True)
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="one")
    for number, damage in enumerate(flushes(SPOOFCHECK)):
        run("nft", *damage)
        assert chains(*SPOOFCHECK) == []
        cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id=f"c{number}")
        listed = nft_objects("table", *SPOOFCHECK)
        assert sum("rule" in item for item in listed) == 2
        bound = next(i["set"]["elem"] for i in listed if i.get("set", {}).get("name"))
        assert len(bound) == number + 2


def test_next_container_restores_all_masquerading(cni: Cni, host: Host) -> None:
    """bridge: any rule that was deleted, be it multicast's, is back after an ADD."""
    wanted = conf(ipMasq=True)
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="one")
    before = table(*MASQUERADE)
    rules = [i["rule"] for i in nft_objects("table", *MASQUERADE) if "rule" in i]
    assert len(rules) == 3
    for number in range(len(rules)):
        listed = nft_objects("table", *MASQUERADE)
        handle = [i["rule"]["handle"] for i in listed if "rule" in i][number]
        place = (*MASQUERADE, "postrouting", "handle", str(handle))
        run("nft", "delete", "rule", *place)
        cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id=f"c{number}")
        assert table(*MASQUERADE) == before


def damages_of(place: tuple[str, str]) -> list[list[str]]:
    """Return all that may happen to a table at once."""
    gone = [["flush", "ruleset"], ["delete", "table", *place]]
    return [*gone, *flushes(place), *emptied(*place)]


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("place", [SPOOFCHECK, DUPLICATES])
def test_next_mac_restores_all(place: tuple[str, str]) -> None:
    """bridge: spoof protection and the guard against copies, after whatever flush."""
    owners = [Attachment("net", f"c{number}", "eth0") for number in range(3)]

    def ensure(number: int) -> None:
        mac = f"02:00:00:00:00:0{number}"
        if place == SPOOFCHECK:
            spoofcheck.ensure(f"veth{number}", mac, owners[number])
        else:
            duplicates.ensure(mac, owners[number])

    def release(number: int) -> None:
        if place == SPOOFCHECK:
            spoofcheck.release(f"veth{number}")
        else:
            duplicates.release(owners[number])

    for number in range(3):
        ensure(number)
    before = table(*place)
    damages = damages_of(place)
    assert len(damages) == 6
    for damage in damages:
        release(2)
        run("nft", *damage)
        ensure(2)
        assert table(*place) == before, damage


@pytest.mark.parametrize("damage", ["flush ruleset", "delete table", "flush chain"])
def test_next_subnet_restores_all_masquerading(
    cni: Cni, host: Host, damage: str
) -> None:
    """bridge: after any flush, a container of another network restores all rules."""
    ranges = {"type": "host-local", "subnet": "10.7.0.0/24"}
    other = conf(name="other", bridge="br1", ipMasq=True, ipam=ranges)
    space = host.space()
    cni.ok("bridge", "ADD", conf(ipMasq=True), netns=host.space(), container_id="one")
    cni.ok("bridge", "ADD", other, netns=space, container_id="two")
    before = table(*MASQUERADE)
    cni.ok("bridge", "DEL", other, netns=space, container_id="two")
    places = {"delete table": MASQUERADE, "flush chain": (*MASQUERADE, "postrouting")}
    run("nft", *damage.split(), *places.get(damage, ()))
    cni.ok("bridge", "ADD", other, netns=space, container_id="two")
    assert table(*MASQUERADE) == before
