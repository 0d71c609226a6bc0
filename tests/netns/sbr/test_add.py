# SPDX-License-Identifier: Apache-2.0
"""sbr: rules and tables, as they are asked for, for both families alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.sbr.helpers import (
    PROTOCOL,
    attached,
    bridge,
    conf,
    everything,
    of,
    records,
    routes,
    rules,
)

from cni_common.spec.versions import SUPPORTED

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def routed(cni: Cni, space: Space, number: int, **keys: Any) -> dict[str, Any]:
    """Attach by an uplink, and route by source; return the result of the first."""
    result = attached(cni, space, number)
    given = conf(result, **keys)
    assert cni.ok("sbr", "ADD", given, **of(space, number)) == result
    return result


def test_both_families_have_one_table(cni: Cni, container: Space) -> None:
    """The routes of the interface, the default ones too, are in a table of its own."""
    routed(cni, container, 1)
    assert rules(container) == [
        ("10.1.0.2", "100", 32000),
        ("fd00:1::2", "100", 32000),
    ]
    assert routes(container, 100) == [
        "10.1.0.0/24 net1",
        "default via 10.1.0.1 net1",
        "default via fd00:1::1 net1",
        "fd00:1::/64 net1",
        "fe80::/64 net1",
    ]
    assert routes(container) == []
    shown = container.ip("route", "show", "table", "100")
    assert {each["protocol"] for each in shown} == {str(PROTOCOL)}


def test_link_local_routes_stay(cni: Cni, container: Space) -> None:
    """What the kernel needs to ask for neighbours is left in the main table."""
    routed(cni, container, 1)
    shown = container.ip("-6", "route", "show", "table", "main")
    assert [(each["dst"], each["dev"]) for each in shown] == [("fe80::/64", "net1")]


def test_answers_leave_by_the_interface_they_came_in(cni: Cni, host: Host) -> None:
    """Behind two uplinks each is answered by itself, be it not the default one."""
    need("busybox")
    space, outside = host.space(), host.outside()
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for family, via in (("-4", "198.51.100.1"), ("-6", "2001:db8:99::1")):
        run("ip", family, "-n", outside.name, "route", "add", "default", "via", via)
    first = attached(cni, space, 1)
    second = attached(cni, space, 2, routes=[])
    # What comes from the other uplink's subnet is dropped, as RFC 2827 has it.
    ruleset = [
        "add table inet t",
        "add chain inet t c { type filter hook forward priority 0; }",
    ]
    for link, ipv4, ipv6 in (
        ("br1", "10.2.0.0/24", "fd00:2::/64"),
        ("br2", "10.1.0.0/24", "fd00:1::/64"),
    ):
        for family, net in (("ip", ipv4), ("ip6", ipv6)):
            ruleset.append(
                f"add rule inet t c iifname {link} {family} saddr {net} drop"
            )
    run("nft", "-f", "-", input="\n".join(ruleset))
    away = ("10.2.0.2", "fd00:2::2")
    assert not any(outside.reaches(address) for address in away)
    cni.ok("sbr", "ADD", conf(second), **of(space, 2))
    assert all(outside.reaches(address) for address in away)
    assert all(outside.reaches(address) for address in ("10.1.0.2", "fd00:1::2"))
    cni.ok("sbr", "ADD", conf(first), **of(space, 1))
    every = (*away, "10.1.0.2", "fd00:1::2")
    assert all(outside.reaches(address) for address in every)


def test_two_interfaces_have_two_tables(cni: Cni, container: Space) -> None:
    """Each has the first table that nobody uses, be it without a route."""
    container.run("ip", "rule", "add", "from", "192.0.2.1", "table", "101")
    for number in (1, 2):
        routed(cni, container, number)
    found = {source: table for source, table, _ in rules(container)}
    assert found == {
        "192.0.2.1": "101",
        "10.1.0.2": "100",
        "fd00:1::2": "100",
        "10.2.0.2": "102",
        "fd00:2::2": "102",
    }


def test_each_gateway_of_a_family_has_a_table(cni: Cni, container: Space) -> None:
    """Two addresses with a gateway each: both have their default route."""
    ranges = [[{"subnet": f"10.{n}.0.0/24"}] for n in (1, 7)]
    result = attached(cni, container, 1, ranges=ranges, routes=[])
    cni.ok("sbr", "ADD", conf(result), **of(container, 1))
    assert [rule[:2] for rule in rules(container)] == [
        ("10.1.0.2", "100"),
        ("10.7.0.2", "101"),
    ]
    for table, net in ((100, "10.1.0"), (101, "10.7.0")):
        wanted = [f"{net}.0/24 net1", f"default via {net}.1 net1"]
        assert routes(container, table) == wanted


def test_given_gateways_win(cni: Cni, container: Space) -> None:
    """One a family; the default routes lead by them."""
    gateways = ["10.1.0.9", "fd00:1::9"]
    routed(cni, container, 1, gateways=gateways)
    shown = [line for line in routes(container, 100) if line.startswith("default")]
    assert shown == [f"default via {gateway} net1" for gateway in gateways]


def test_default_route_without_a_gateway_of_the_address(
    cni: Cni, container: Space
) -> None:
    """A default route that names its gateway itself is moved in both families."""
    ways = [("0.0.0.0/0", "10.1.0.254"), ("::/0", "fe80::1")]
    given = [{"dst": dst, "gw": gw, "mtu": 1300} for dst, gw in ways]
    result = attached(cni, container, 1, routes=given)
    for each in result["ips"]:
        del each["gateway"]
    cni.ok("sbr", "ADD", conf(result), **of(container, 1))
    for family, (_, gateway) in zip(("-4", "-6"), ways, strict=True):
        (route,) = container.ip(family, "route", "show", "table", "100", "default")
        assert (route["gateway"], route["metrics"]) == (gateway, [{"mtu": 1300}])
    assert routes(container) == []


def test_source_hints(cni: Cni, container: Space) -> None:
    """The subnets stay in the main table, and say from where to send."""
    routed(cni, container, 1, addSourceHints=True)
    assert routes(container) == ["10.1.0.0/24 net1", "fd00:1::/64 net1"]
    for family, source in (("-4", "10.1.0.2"), ("-6", "fd00:1::2")):
        shown = container.ip(family, "route", "show", "table", "main")
        (route,) = (each for each in shown if "fe80" not in each["dst"])
        assert route["prefsrc"] == source
    assert "default via 10.1.0.1 net1" in routes(container, 100)


def test_given_table_is_filled_by_others(cni: Cni, container: Space) -> None:
    """With `table` there are rules alone; what routes are in it is IPAM's matter."""
    given = [{"dst": "0.0.0.0/0", "gw": "10.1.0.1", "table": 5001}]
    result = attached(cni, container, 1, routes=given)
    before = routes(container)
    cni.ok("sbr", "ADD", conf(result, table=5001), **of(container, 1))
    assert {rule[1] for rule in rules(container)} == {"5001"}
    assert (routes(container), len(routes(container, 5001))) == (before, 1)
    cni.ok("sbr", "DEL", conf(result, table=5001), **of(container, 1))
    assert (rules(container), len(routes(container, 5001))) == ([], 1)


@pytest.mark.parametrize("version", SUPPORTED)
def test_result_is_what_came_before(cni: Cni, container: Space, version: str) -> None:
    """In every version the result is prevResult, and the whole list is as it says."""
    given = {**bridge(1), "cniVersion": version}
    result = cni.ok("bridge", "ADD", given, **of(container, 1))
    wanted = conf(result, cniVersion=version)
    assert cni.ok("sbr", "ADD", wanted, **of(container, 1)) == result
    if version >= "0.4.0":
        for plugin in (given, wanted):
            document = {**plugin, "prevResult": result}
            cni.ok(plugin["type"], "CHECK", document, **of(container, 1))


def test_other_values_replace_the_first(cni: Cni, container: Space) -> None:
    """ADD again keeps its table and finds the routes; DEL has all as before it."""
    result = attached(cni, container, 1)
    before = everything(container)
    for keys in (
        {},
        {"addSourceHints": True},
        {"table": 300},
        {"gateways": ["10.1.0.9"]},
    ):
        wanted = conf(result, **keys)
        cni.ok("sbr", "ADD", wanted, **of(container, 1))
        cni.ok("sbr", "CHECK", wanted, **of(container, 1))
        tables = {rule[1] for rule in rules(container)}
        assert tables == {str(keys.get("table", 100))}
    cni.ok("sbr", "DEL", conf(result), **of(container, 1))
    assert (everything(container), records()) == (before, [])


@pytest.mark.parametrize(
    ("keys", "code", "cause"),
    [
        ({"table": 0}, 7, "table"),
        ({"table": -1}, 7, "table"),
        ({"table": 1 << 32}, 7, "table"),
        ({"table": "100"}, 7, "table"),
        ({"gateways": "10.1.0.1"}, 7, "gateways"),
        ({"gateways": ["10.1.0.1/24"]}, 7, "gateways"),
        ({"gateways": ["10.1.0.1", "10.1.0.9"]}, 7, "both of IPv4"),
        ({"gateways": ["198.51.100.256"]}, 7, "gateways"),
        ({"addSourceHints": 1}, 7, "addSourceHints"),
        ({"prevResult": None}, 7, "must be called as chained plugin"),
        ({"prevResult": {"cniVersion": "1.1.0"}}, 7, "prevResult has no address"),
    ],
)
def test_refused(
    cni: Cni, container: Space, keys: dict[str, Any], code: int, cause: str
) -> None:
    """What is no configuration is told, and nothing is done."""
    result = attached(cni, container, 1)
    before = everything(container)
    wanted = {k: v for k, v in {**conf(result), **keys}.items() if v is not None}
    error = cni.refused("sbr", "ADD", wanted, **of(container, 1))
    assert (error["code"], cause in error["msg"]) == (code, True)
    assert (everything(container), records()) == (before, [])


def test_failed_add_is_undone(cni: Cni, container: Space) -> None:
    """A gateway that cannot be one: the routes are where they were."""
    result = attached(cni, container, 1)
    before = everything(container)
    wanted = conf(result, gateways=["224.0.0.9"])
    error = cni.refused("sbr", "ADD", wanted, **of(container, 1))
    assert error["msg"].startswith("add route 0.0.0.0/0 via 224.0.0.9 in table 100: ")
    assert (everything(container), records()) == (before, [])
