# SPDX-License-Identifier: Apache-2.0
"""ptp: what ADD makes, what it tells, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.ptp.helpers import DUAL, IPV4, addressed, conf, links
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def routes(space: Space | None, family: str = "-4") -> list[tuple[str, ...]]:
    """Return destination, gateway, source and scope of the global routes."""
    at = ["-n", space.name] if space else []
    shown = [r for r in ip(*at, family, "route") if r["dst"] != "fe80::/64"]
    keys = ("dst", "gateway", "prefsrc", "scope")
    return sorted(tuple(route.get(key, "") for key in keys) for route in shown)


def held(link: str, space: Space | None = None) -> list[str]:
    """Return the usable global addresses of a link."""
    at = ["-n", space.name] if space else []
    (shown,) = ip(*at, "addr", "show", link)
    return [
        f"{a['local']}/{a['prefixlen']}"
        for a in shown["addr_info"]
        if a["scope"] == "global" and not a.get("tentative")
    ]


def test_container_and_host_are_alone_on_the_link(cni: Cni, container: Space) -> None:
    """Addresses and routes of both ends, both families, as documented."""
    wanted = conf(ipam=DUAL, mtu=1400, ipMasq=True)
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    host = result["interfaces"][0]["name"]
    assert held(host) == ["10.1.2.1/32", "fd00:1::1/128"]
    assert held("eth0", container) == ["10.1.2.2/24", "fd00:1::2/64"]
    assert routes(None) == [("10.1.2.2", "", "10.1.2.1", "link")]
    assert routes(None, "-6") == [("fd00:1::2", "", "fd00:1::1", "global")]
    assert routes(container) == [
        ("10.1.2.0/24", "10.1.2.1", "10.1.2.2", "global"),
        ("10.1.2.1", "", "10.1.2.2", "link"),
        ("default", "10.1.2.1", "", "global"),
    ]
    assert routes(container, "-6") == [
        ("default", "fd00:1::1", "", "global"),
        ("fd00:1::/64", "fd00:1::1", "fd00:1::2", "global"),
        ("fd00:1::1", "", "fd00:1::2", "global"),
    ]
    (outside,) = ip("link", "show", host)
    (inside,) = container.ip("link", "show", "eth0")
    assert (outside["mtu"], inside["mtu"]) == (1400, 1400)
    assert outside["ifalias"] == "cni net c1 eth0"
    assert outside["operstate"] == inside["operstate"] == "UP"
    assert run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "1"
    assert run("sysctl", "-n", "net.ipv6.conf.all.forwarding").strip() == "1"
    rules = [
        item["rule"].get("comment")
        for item in nft_objects("chain", "inet", "cnipy_masquerade", "postrouting")
        if "rule" in item
    ]
    assert rules[2:] == ["subnet 10.1.2.0/24", "subnet fd00:1::/64"]


def test_result_names_both_ends(cni: Cni, container: Space) -> None:
    """The host's end, the container's end, and addresses that belong to the latter."""
    wanted = conf(ipam=DUAL, dns={"nameservers": ["192.0.2.53"]})
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    host, end = result["interfaces"]
    (outside,) = ip("link", "show", host["name"])
    (inside,) = container.ip("link", "show", "eth0")
    assert host == {"name": host["name"], "mac": outside["address"], "mtu": 1500}
    assert end == {
        "name": "eth0",
        "mac": inside["address"],
        "mtu": 1500,
        "sandbox": container.path,
    }
    assert result["ips"] == [
        {"address": "10.1.2.2/24", "gateway": "10.1.2.1", "interface": 1},
        {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 1},
    ]
    assert result["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    assert result["dns"] == {"nameservers": ["192.0.2.53"]}


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_result_before_interfaces(cni: Cni, container: Space, version: str) -> None:
    """0.1.0 and 0.2.0 have one address of each family, with its routes."""
    wanted = conf(ipam=DUAL, cniVersion=version)
    assert cni.ok("ptp", "ADD", wanted, netns=container) == {
        "cniVersion": version,
        "ip4": {
            "ip": "10.1.2.2/24",
            "gateway": "10.1.2.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "ip6": {
            "ip": "fd00:1::2/64",
            "gateway": "fd00:1::1",
            "routes": [{"dst": "::/0"}],
        },
        "dns": {},
    }


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_result_in_later_versions(cni: Cni, container: Space, version: str) -> None:
    """ips have their version up to 0.4.0, interfaces their MTU from 1.1.0 on."""
    result = cni.ok("ptp", "ADD", conf(cniVersion=version), netns=container)
    old = version < "1.0.0"
    address = {"address": "10.1.2.2/24", "gateway": "10.1.2.1", "interface": 1}
    assert result["ips"] == [({"version": "4"} if old else {}) | address]
    assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    assert ("dns" in result) == old


def test_route_fields_are_installed(cni: Cni, container: Space) -> None:
    """A route of the IPAM plugin has its mtu, advmss and priority, in old versions."""
    route = {"dst": "192.0.2.0/24", "mtu": 1300, "advmss": 1200, "priority": 9}
    wanted = conf(cniVersion="0.4.0", ipam={**IPV4, "routes": [route]})
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    (shown,) = container.ip("route", "show", "192.0.2.0/24")
    assert (shown["gateway"], shown["metric"]) == ("10.1.2.1", 9)
    assert shown["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    cni.ok("ptp", "CHECK", {**wanted, "prevResult": result}, netns=container)
    run("ip", "-n", container.name, "route", "del", "192.0.2.0/24")
    replaced = ("192.0.2.0/24", "via", "10.1.2.1", "metric", "9")
    run("ip", "-n", container.name, "route", "add", *replaced)
    cni.refused("ptp", "CHECK", {**wanted, "prevResult": result}, netns=container)


def test_two_subnets_of_one_family(cni: Cni, container: Space) -> None:
    """Each subnet has its gateway on the host's end, and its own source address."""
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}]]
    wanted = conf(ipam={"type": "host-local", "ranges": ranges}, ipMasq=True)
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    assert held(result["interfaces"][0]["name"]) == ["10.1.2.1/32", "10.1.3.1/32"]
    assert routes(None) == [
        ("10.1.2.2", "", "10.1.2.1", "link"),
        ("10.1.3.2", "", "10.1.3.1", "link"),
    ]
    assert ("10.1.3.0/24", "10.1.3.1", "10.1.3.2", "global") in routes(container)
    cni.ok("ptp", "CHECK", {**wanted, "prevResult": result}, netns=container)
    assert container.reaches("10.1.3.1")


def test_gateway_that_the_ipam_plugin_does_not_name(cni: Cni, container: Space) -> None:
    """The host's end has the first address of the subnet."""
    wanted = addressed("10.7.0.9/24", "fd00:7::9/64")
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    assert [ip["gateway"] for ip in result["ips"]] == ["10.7.0.1", "fd00:7::1"]
    assert held(result["interfaces"][0]["name"]) == ["10.7.0.1/32", "fd00:7::1/128"]
    assert container.reaches("10.7.0.1")
    assert container.reaches("fd00:7::1")


@pytest.mark.parametrize(
    ("address", "gateway"),
    [
        ("10.7.0.8/31", "10.7.0.9"),
        ("10.7.0.9/31", "10.7.0.8"),
        ("fd00:7::/127", "fd00:7::1"),
        ("10.7.0.9/32 169.254.1.1", "169.254.1.1"),
        ("10.7.0.9/24 192.0.2.1", "192.0.2.1"),
        ("fd00:7::9/128 fe80::1", "fe80::1"),
    ],
)
def test_small_subnets_and_gateways_elsewhere(
    cni: Cni, container: Space, address: str, gateway: str
) -> None:
    """Subnets of one and two addresses, and gateways outside of them, work."""
    wanted = addressed(address)
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    assert result["ips"][0]["gateway"] == gateway
    cni.ok("ptp", "CHECK", {**wanted, "prevResult": result}, netns=container)
    if "fe80" not in gateway:
        assert container.reaches(gateway)
    own = address.partition("/")[0]
    run("busybox", "ping", "-c1", "-W1", own)


@pytest.mark.parametrize(
    "address", ["10.7.0.1/24", "10.7.0.9/32", "10.7.0.9/24 10.7.0.9"]
)
def test_no_address_for_the_host(cni: Cni, container: Space, address: str) -> None:
    """Where container and host would have the same address, ADD says so."""
    before = picture(container)
    error = cni.refused("ptp", "ADD", addressed(address), netns=container)
    own = address.partition(" ")[0]
    msg = f"use address {own}: no other one is left for the host's end"
    assert (error["code"], error["msg"]) == (999, msg)
    assert picture(container) == before


def test_ipv6_where_the_host_disables_it(cni: Cni, container: Space) -> None:
    """New links without IPv6, on the host and in the container, are no obstacle."""
    for space in (None, container):
        words = ("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        space.run(*words) if space else run(*words)
    container.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    cni.ok("ptp", "ADD", conf(ipam=DUAL), netns=container)
    assert container.reaches("fd00:1::1")


def test_routes_survive_the_link_going_down(cni: Cni, container: Space) -> None:
    """After down and up of the container's end its subnet is not on the link."""
    cni.ok("ptp", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "down")
    container.run("ip", "link", "set", "eth0", "up")
    assert container.ip("route", "show", "10.1.2.0/24") == []


MACS = {
    "runtimeConfig": {"mac": "02:00:00:00:00:01"},
    "args": {"cni": {"mac": "02:00:00:00:00:02"}},
}


@pytest.mark.parametrize(
    ("keys", "cni_args", "expected"),
    [
        (MACS, "MAC=02:00:00:00:00:03", "02:00:00:00:00:01"),
        ({"args": MACS["args"]}, "MAC=02:00:00:00:00:03", "02:00:00:00:00:02"),
        ({}, "IgnoreUnknown=1;X=y;MAC=02:00:00:00:00:03", "02:00:00:00:00:03"),
    ],
)
def test_mac_that_was_asked_for(
    cni: Cni, container: Space, keys: dict[str, Any], cni_args: str, expected: str
) -> None:
    """runtimeConfig.mac comes before args.cni.mac, which comes before CNI_ARGS."""
    result = cni.ok("ptp", "ADD", conf(**keys), netns=container, args=cni_args)
    assert container.ip("link", "show", "eth0")[0]["address"] == expected
    assert result["interfaces"][1]["mac"] == expected


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"mtu": -1}, "", "7 parse mtu: -1 is not between 0 and 65535"),
    ({"mtu": 65536}, "", "7 parse mtu: 65536 is not between 0 and 65535"),
    (
        {"mtu": "1500"},
        "",
        "7 parse network configuration: mtu: Input should be a valid integer",
    ),
    (
        {"ipMasq": "yes"},
        "",
        "7 parse network configuration: ipMasq: Input should be a valid boolean",
    ),
    (
        {"ipMasqBackend": "x"},
        "",
        '7 parse ipMasqBackend: unknown ipmasq backend "x"',
    ),
    (
        {"ipam": None},
        "",
        "7 parse ipam.type: missing; without addresses there is nothing to route",
    ),
    ({"ipam": {"type": "../x"}}, "", "7 find plugin: invalid plugin name '../x'"),
    (
        {"runtimeConfig": {"mac": "x"}},
        "",
        "7 parse runtimeConfig.mac: 'x' is not a MAC address",
    ),
    ({}, "X=1", "4 parse CNI_ARGS: unknown keys ['X']"),
]


@pytest.mark.parametrize(("keys", "cni_args", "expected"), BAD)
def test_bad_input_changes_nothing(
    cni: Cni, container: Space, keys: dict[str, Any], cni_args: str, expected: str
) -> None:
    """A key or variable that cannot be is refused by its name before any work."""
    before = picture(container)
    error = cni.refused("ptp", "ADD", conf(**keys), netns=container, args=cni_args)
    assert f"{error['code']} {error['msg']}" == expected
    assert picture(container) == before


@pytest.mark.parametrize("path", ["/run/netns/absent", "/etc/passwd", "/run"])
def test_netns_that_is_none(cni: Cni, host: Host, path: str) -> None:
    """A CNI_NETNS that is no network namespace is code 8, and nothing is made."""
    before = picture()
    assert cni.refused("ptp", "ADD", conf(), netns=path)["code"] == 8
    assert picture(*host.spaces) == before


def test_interface_that_exists_is_untouched(cni: Cni, container: Space) -> None:
    """A link called CNI_IFNAME in the container is an error, and it stays as it is."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container)
    error = cni.refused("ptp", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


def test_names_of_ids_do_not_leave_the_state_directory(
    cni: Cni, container: Space
) -> None:
    """Dots in names are names: the record lies in its directory, DEL removes it."""
    wanted = conf(name="n..et")
    options: Any = {"netns": container, "container_id": "c.._1", "ifname": "..."}
    cni.ok("ptp", "ADD", wanted, **options)
    assert run("ls", "/run/cni/cnipy/ptp/n..et").strip() == "c.._1@..."
    cni.ok("ptp", "DEL", wanted, **options)
    assert links() == ["lo"]


def test_backend_iptables_is_said_to_be_served_by_nftables(
    cni: Cni, container: Space
) -> None:
    """ipMasqBackend iptables works, and the log says what serves it."""
    wanted = conf(ipMasq=True, ipMasqBackend="iptables")
    answer = cni("ptp", "ADD", wanted, netns=container)
    assert answer.status == 0
    assert nft_objects("table", "inet", "cnipy_masquerade") != []
