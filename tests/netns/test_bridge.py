# SPDX-License-Identifier: Apache-2.0
"""bridge: what an attachment has after ADD, and traffic through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab import ip, nft_objects, reaches

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def conf(**keys: Any) -> dict[str, Any]:
    """Return a gateway bridge with one IPv4 range, changed by `keys`."""
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.2.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        **keys,
    }


DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}


def held(space: Space, link: str = "eth0") -> list[str]:
    """Return the global addresses of a link in a container, as ip shows them."""
    (shown,) = space.ip("addr", "show", link)
    return [
        f"{a['local']}/{a['prefixlen']}"
        for a in shown["addr_info"]
        if a["scope"] == "global" and not a.get("tentative")
    ]


def test_add_gives_address_route_and_result(cni: Cni, container: Space) -> None:
    """After ADD the container has its address and default route, as the result says."""
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    (end,) = container.ip("link", "show", "eth0")
    (bridge,) = ip("link", "show", "br0")
    veth = result["interfaces"][1]["name"]
    (port,) = ip("link", "show", veth)
    assert held(container) == ["10.1.2.2/24"]
    assert container.ip("route", "show", "default")[0]["gateway"] == "10.1.2.1"
    assert port["master"] == "br0"
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": bridge["address"], "mtu": 1500},
            {"name": veth, "mac": port["address"], "mtu": 1500},
            {
                "name": "eth0",
                "mac": end["address"],
                "mtu": 1500,
                "sandbox": container.path,
            },
        ],
        "ips": [{"address": "10.1.2.2/24", "gateway": "10.1.2.1", "interface": 2}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }


def test_containers_reach_each_other_and_the_host(cni: Cni, host: Host) -> None:
    """Two containers and the host reach each other at once, IPv4 and IPv6."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=one, container_id="one")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=two, container_id="two")
    assert one.reaches("10.1.2.3")
    assert one.reaches("fd00:1::3")
    assert reaches("10.1.2.2")
    assert reaches("fd00:1::2")


def test_source_is_masqueraded_towards_the_outside(cni: Cni, host: Host) -> None:
    """With ipMasq an outside server sees the node's address, for both families."""
    outside, one = host.outside(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL, ipMasq=True), netns=one)
    # The outside has no route back to the containers, so an answer is the proof.
    assert all(route["dst"] != "default" for route in outside.ip("route", "show"))
    assert one.reaches("198.51.100.2")
    assert one.reaches("2001:db8:99::2")


def test_delete_leaves_nothing_but_the_bridge(cni: Cni, container: Space) -> None:
    """After DEL there is no veth, no rule, no lease and no record."""
    wanted = conf(ipMasq=True, macspoofchk=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert nft_objects("table", "inet", "cnipy_masquerade") != []
    cni.ok("bridge", "DEL", wanted, netns=container)
    assert container.ip("link", "show")[1:] == []
    assert [link["ifname"] for link in ip("link", "show")] == ["lo", "br0"]
    assert nft_objects("ruleset") == []
