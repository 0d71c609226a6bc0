# SPDX-License-Identifier: Apache-2.0
"""/run/cni/cnipy lost with containers running: rules are found by their owners."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.bridge.helpers import conf
from netns.firewall.helpers import INET, PORTS, Guarded, members, owners
from netns.portmap.helpers import (
    NODE,
    TABLE,
    Node,
    ask,
    ask_from,
    elements,
    left,
    mapping,
    request,
    route_localnet,
    serving,
)
from pictures import files
from rulesets import table

from cni_common.kernel import nft

if TYPE_CHECKING:
    from lab import Cni, Host, Space

PORTMAP = ("inet", "cnipy_portmap")
ISOLATED = {"ingressPolicy": "isolated"}
LONG = "n" * 60
SOURCES = "{ 192.0.2.1, 192.0.2.2 }"
CONDITIONS = {"conditionsV4": ["iifname", "!=", "eth9", "ip", "saddr", "!=", SOURCES]}


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    return Node(host, cni)


@pytest.fixture
def guarded(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges that drops nothing."""
    return Guarded(host, cni)


def lose() -> None:
    """Have no state, as after an `rm -rf` by mistake."""
    shutil.rmtree("/run/cni/cnipy")


def valid(*numbers: int) -> dict[str, Any]:
    """Return the key of GC that names the containers of those numbers."""
    named = [{"containerID": f"c{number}", "ifname": "eth0"} for number in numbers]
    return {"cni.dev/valid-attachments": named}


def without_ports(conf: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that says nothing of ports, nor of a result."""
    return {k: v for k, v in conf.items() if k not in ("runtimeConfig", "prevResult")}


@pytest.fixture
def two(node: Node) -> dict[int, Space]:
    """Two containers with published ports, 8080 and 8081."""
    spaces = {number: node.container(number) for number in (2, 3)}
    for number, space in spaces.items():
        node.publish(space, number, mapping(8078 + number))
    return spaces


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_port_is_withdrawn_without_its_claim(
    node: Node, two: dict[int, Space], verb: str
) -> None:
    """portmap: DEL and GC take what is the attachment's, and nothing of others."""
    lose()
    conf, options = request(two[2], 2)
    more = valid(3) if verb == "GC" else {}
    node.cni.ok("portmap", verb, without_ports(conf) | more, **options)
    assert elements("hostports4") == {"tcp . 8081": "10.1.0.3 . 80"}
    with serving(two[3], "kept"):
        assert ask_from(node.outside, NODE, 8081) == "kept 198.51.100.2"
        assert ask("127.0.0.1", 8081) == "kept 10.1.0.1"
    assert route_localnet("br0") == "1"
    conf, options = request(two[3], 3)
    node.cni.ok("portmap", "DEL", without_ports(conf), **options)
    assert nft_objects(*TABLE) == []
    assert route_localnet("br0") == "0"
    assert "clsact" not in run("tc", "qdisc", "show", "dev", "br0")
    assert left() == []


def test_next_publication_keeps_those_of_the_living(
    node: Node, two: dict[int, Space]
) -> None:
    """portmap: ADD after the loss keeps all elements, and refuses what is held."""
    before = table(*PORTMAP)
    lose()
    other = node.container(4)
    conf, options = request(other, 4, mapping(8080))
    error = node.cni.refused("portmap", "ADD", conf, **options)
    assert error["msg"] == (
        "publish tcp port 8080: held by container c2 (interface eth0, network net)"
    )
    assert table(*PORTMAP) == before
    node.publish(other, 4, mapping(8082))
    run("nft", "flush", "ruleset")
    node.publish(other, 4, mapping(8082))
    with serving(two[2], "first"):
        assert ask_from(node.outside, NODE, 8080) == "first 198.51.100.2"
    conf, options = request(two[2], 2, mapping(8080))
    node.cni.ok("portmap", "CHECK", conf, **options)
    node.publish(two[2], 2, mapping(8080))
    conf, options = request(other, 4, mapping(8082))
    node.cni.ok("portmap", "DEL", conf, **options)
    assert table(*PORTMAP) == before


@pytest.mark.parametrize(
    ("mapped", "keys"),
    [
        ({}, {"masqAll": True}),
        ({}, {"snat": False}),
        ({"hostIP": NODE}, {}),
        ({"hostIP": "127.0.0.1"}, {}),
        ({"hostIP": "fd01::1"}, {}),
        ({"protocol": "udp"}, {}),
        ({}, {"families": (6,)}),
        ({"hostIP": "0.0.0.0"}, {}),
    ],
)
def test_elements_tell_all_that_a_claim_needs(
    node: Node, mapped: dict[str, Any], keys: dict[str, Any]
) -> None:
    """portmap: a table made anew from what was read back is as it was."""
    space = node.container(2)
    node.publish(space, 2, mapping(8080, 81, **mapped), **keys)
    before = table(*PORTMAP)
    lose()
    node.publish(node.container(3), 3, mapping(8081))
    run("nft", "flush", "ruleset")
    conf, options = request(node.container(4), 3, container_id="c4")
    node.cni.ok("portmap", "ADD", conf, **options)
    conf, options = request(space, 3, container_id="c3")
    node.cni.ok("portmap", "DEL", without_ports(conf), **options)
    assert table(*PORTMAP) == before


def test_call_without_ports_restores_rules_of_the_living(
    node: Node, two: dict[int, Space]
) -> None:
    """portmap: after the loss and a flush, an ADD that publishes nothing restores."""
    before = table(*PORTMAP)
    lose()
    run("nft", "flush", "chain", *PORTMAP, "prerouting")
    conf, options = request(node.container(4), 4)
    node.cni.ok("portmap", "ADD", conf, **options)
    assert table(*PORTMAP) == before
    with serving(two[3], "kept"):
        assert ask_from(node.outside, NODE, 8081) == "kept 198.51.100.2"


def test_conditions_are_read_back(node: Node) -> None:
    """portmap: a network's conditions hold after the loss, and go with the port."""
    bound = node.container(2)
    node.publish(bound, 2, mapping(8080), **CONDITIONS)
    lose()
    node.publish(node.container(3), 3, mapping(8081), name="free")
    with serving(bound, "bound"):
        assert ask_from(node.outside, NODE, 8080) == "bound 198.51.100.2"
    chains = [i["chain"]["name"] for i in nft_objects(*TABLE) if "chain" in i]
    assert len([name for name in chains if name.startswith("conditioned4")]) == 3
    assert "192.0.2.2" in run("nft", "list", *TABLE)
    conf, options = request(bound, 2)
    node.cni.ok("portmap", "DEL", without_ports(conf), **options)
    assert "conditioned" not in run("nft", "list", *TABLE)


def test_services_keep_their_ports_after_the_loss(node: Node) -> None:
    """portmap: what is made anew still has the addresses of kube-ipvs0 excluded."""
    run("ip", "link", "add", "kube-ipvs0", "type", "bridge")
    run("ip", "addr", "add", "10.96.0.1/32", "dev", "kube-ipvs0")
    node.publish(node.container(2), 2, mapping(8080), **CONDITIONS)
    node.publish(node.container(3), 3, mapping(443))
    before = nft_objects("set", *PORTMAP, "excluded4")[0]["set"]["elem"]
    lose()
    conf, options = request(node.container(4), 2)
    node.cni.ok("portmap", "DEL", without_ports(conf), **options)
    assert elements("hostports4") == {"tcp . 443": "10.1.0.3 . 80"}
    assert nft_objects("set", *PORTMAP, "excluded4")[0]["set"]["elem"] == before


def test_owner_whose_names_are_long_is_found(node: Node) -> None:
    """portmap: an owner that no comment has room for is told by its digest."""
    space = node.container(2)
    names = {"name": LONG, "container_id": "c" * 64}
    node.publish(space, 2, mapping(8080), **names)
    node.publish(node.container(3), 3, mapping(8081))
    lose()
    conf, options = request(space, 2, **names)
    same = [{"containerID": "c" * 64, "ifname": "eth0"}]
    kept = without_ports(conf) | {"cni.dev/valid-attachments": same}
    node.cni.ok("portmap", "GC", kept, **options)
    assert len(elements("hostports4")) == 2
    node.cni.ok("portmap", "DEL", without_ports(conf), **options)
    assert elements("hostports4") == {"tcp . 8081": "10.1.0.3 . 80"}


def test_delete_of_what_is_gone_lists_nothing(
    node: Node, two: dict[int, Space], monkeypatch: pytest.MonkeyPatch
) -> None:
    """portmap, firewall: DEL again, and DEL before ADD, read no elements of others."""
    conf, options = request(two[2], 2)
    node.cni.ok("portmap", "DEL", conf, **options)
    asked: list[str] = []
    real = nft._command

    def spy(text: str, *, as_json: bool = False) -> str:
        asked.append(text)
        return real(text, as_json=as_json)

    monkeypatch.setattr(nft, "_command", spy)
    for container in ("c2", "c9"):
        options["container_id"] = container
        node.cni.ok("portmap", "DEL", conf, **options)
        node.cni.ok("firewall", "DEL", without_ports(conf), **options)
    assert [text for text in asked if "cnipy_" in text] == []


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_protection_goes_without_its_record(guarded: Guarded, verb: str) -> None:
    """firewall: DEL and GC take the attachment's elements; guarded links stay."""
    spaces = {number: guarded.container(number) for number in (2, 3)}
    for number, space in spaces.items():
        guarded.ok("ADD", space, number, **ISOLATED)
    guarded.ok("ADD", guarded.neighbour(2), 2, bridge="br1", container_id="other")
    lose()
    more = valid(3) if verb == "GC" else {}
    guarded.ok(verb, spaces[2], 2, prevResult=None, **ISOLATED, **more)
    assert members("containers4") == ["10.1.0.3", "10.2.0.2"]
    assert owners("isolated", PORTS) == ["net c3 eth0"]
    assert members("guarded") == ["br0"]
    assert members("isolated") == ["br0 . br0"]
    guarded.ok("DEL", spaces[3], 3, prevResult=None)
    assert members("guarded") == []
    assert nft_objects("table", *PORTS) == []
    guarded.ok("DEL", spaces[3], 2, bridge="br1", container_id="other")
    assert nft_objects("table", *INET) == []
    assert left() == []


def test_next_protection_keeps_those_of_the_living(guarded: Guarded) -> None:
    """firewall: ADD after the loss wipes nobody, also when it makes the table anew."""
    first = guarded.container(2)
    guarded.ok("ADD", first, 2, **ISOLATED)
    before = table(*INET), table(*PORTS)
    lose()
    other = guarded.container(3)
    guarded.ok("ADD", other, 3, **ISOLATED)
    run("nft", "flush", "ruleset")
    guarded.ok("ADD", other, 3, **ISOLATED)
    guarded.ok("CHECK", first, 2, **ISOLATED)
    guarded.ok("DEL", other, 3, **ISOLATED)
    assert (table(*INET), table(*PORTS)) == before


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_bridge_rules_go_without_the_record(cni: Cni, host: Host, verb: str) -> None:
    """bridge: spoof protection and masquerading stay for the living, and go last."""
    wanted = conf(ipMasq=True, macspoofchk=True)
    spaces = {number: host.space() for number in (2, 3)}
    for number, space in spaces.items():
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=f"c{number}")
    both = table("bridge", "cnipy_spoofcheck")
    lose()
    more = valid(3) if verb == "GC" else {}
    cni.ok("bridge", verb, wanted | more, netns=spaces[2], container_id="c2")
    bound = nft_objects("set", "bridge", "cnipy_spoofcheck", "bound")
    assert [e["elem"]["comment"] for e in bound[0]["set"]["elem"]] == ["net c3 eth0"]
    assert table("bridge", "cnipy_spoofcheck") != both
    chain = run("nft", "list", "table", "inet", "cnipy_masquerade")
    assert "subnet 10.1.2.0/24" in chain
    cni.ok("bridge", "DEL", wanted, netns=spaces[3], container_id="c3")
    assert nft_objects("ruleset") == []
    assert [path for path in files() if "cnipy" in path] == []


def test_next_bridge_add_keeps_what_guards_the_living(cni: Cni, host: Host) -> None:
    """bridge: ADD after the loss keeps others guarded and their subnets' rules."""
    wanted = conf(ipMasq=True, macspoofchk=True)
    cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id="c2")
    lose()
    other = conf(
        name="other",
        bridge="br1",
        ipMasq=True,
        macspoofchk=True,
        ipam={"type": "host-local", "subnet": "10.7.0.0/24"},
    )
    space = host.space()
    cni.ok("bridge", "ADD", other, netns=space, container_id="c9")
    run("nft", "flush", "ruleset")
    cni.ok("bridge", "DEL", other, netns=space, container_id="c9")
    cni.ok("bridge", "ADD", other, netns=space, container_id="c9")
    bound = nft_objects("set", "bridge", "cnipy_spoofcheck", "bound")
    assert len(bound[0]["set"]["elem"]) == 2
    chain = run("nft", "list", "table", "inet", "cnipy_masquerade")
    assert "subnet 10.1.2.0/24" in chain
    assert "subnet 10.7.0.0/24" in chain
