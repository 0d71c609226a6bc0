# SPDX-License-Identifier: Apache-2.0
"""Every place that ranges and requested addresses may come from, and their order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Network


def test_runtime_ranges_come_before_the_old_form_and_that_before_ranges(
    net: Network,
) -> None:
    """The addresses of the result are in the order ipRanges, subnet, ranges."""
    conf = net.conf("10.3.0.0/24", subnet="10.2.0.0/24")
    conf["runtimeConfig"] = {"ipRanges": [[{"subnet": "10.1.0.0/24"}]]}
    found = net.call("ADD", conf).addresses
    assert found == ["10.1.0.2", "10.2.0.2", "10.3.0.2"]


def test_old_form_has_every_key_of_a_range(net: Network) -> None:
    """rangeStart, rangeEnd, gateway and exclude work beside subnet."""
    conf = net.conf(
        subnet="10.2.0.0/24",
        rangeStart="10.2.0.8",
        rangeEnd="10.2.0.10",
        gateway="10.2.0.8",
        exclude=["10.2.0.9"],
    )
    outcome = net.call("ADD", conf)
    assert outcome.document["ips"] == [
        {"address": "10.2.0.10/24", "gateway": "10.2.0.8"}
    ]


def test_keys_match_without_regard_to_case_and_null_is_absence(net: Network) -> None:
    """Configurations that Go's JSON decoder reads are read alike."""
    conf = net.conf()
    conf["IPAM"] = conf.pop("ipam")
    conf["IPAM"]["Ranges"] = [[{"SubNet": "10.2.0.0/24", "rangestart": "10.2.0.9"}]]
    conf["IPAM"] |= {"routes": None, "resolvConf": None, "gateway": ""}
    assert net.call("ADD", conf).addresses == ["10.2.0.9"]


def test_route_with_an_empty_gateway_has_none(net: Network) -> None:
    """An empty gw is no gw, as for the reference."""
    conf = net.conf("10.2.0.0/24", routes=[{"dst": "0.0.0.0/0", "gw": ""}])
    outcome = net.call("ADD", conf)
    assert outcome.document["routes"] == [{"dst": "0.0.0.0/0"}]


def test_routes_are_copied_with_all_that_they_say(net: Network) -> None:
    """A route's dst, gw, mtu, advmss, priority, table and scope reach the result."""
    route = {
        "dst": "0.0.0.0/0",
        "gw": "10.2.0.254",
        "mtu": 1400,
        "advmss": 1300,
        "priority": 7,
        "table": 100,
        "scope": 0,
    }
    conf = net.conf("10.2.0.0/24", routes=[route, {"dst": "10.9.0.0/16"}])
    outcome = net.call("ADD", conf)
    assert outcome.document["routes"] == [route, {"dst": "10.9.0.0/16"}]


def test_resolv_conf_becomes_dns(net: Network, tmp_path: Any) -> None:
    """Name servers, search and options add up, comments and lone words count not."""
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 9.9.9.9\n; old\nnameserver 10.0.0.1\n nameserver fd00::1 x\n"
        "domain a.example\nsearch b.example c.example\nsearch d.example\n"
        "options ndots:2\noptions rotate timeout:1\nnameserver\nsortlist 1.2.3.4\n"
    )
    outcome = net.call("ADD", net.conf("10.2.0.0/24", resolvConf=str(path)))
    assert outcome.document["dns"] == {
        "nameservers": ["10.0.0.1", "fd00::1"],
        "domain": "a.example",
        "search": ["b.example", "c.example", "d.example"],
        "options": ["ndots:2", "rotate", "timeout:1"],
    }


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_unreadable_resolv_conf_leases_nothing(
    net: Network, tmp_path: Any, kind: str
) -> None:
    """A file that is none is an error, found before anything is on disk."""
    path = tmp_path / "resolv.conf"
    if kind == "directory":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    code, msg = net.call("ADD", net.conf("10.2.0.0/24", resolvConf=str(path))).failure
    assert code == 5
    assert msg.startswith(f"read resolvConf {path}: ")
    assert not net.data_dir.exists()


def requests(where: str, addresses: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what asks for the addresses: part of a configuration, and variables."""
    if where == "runtimeConfig":
        return {"runtimeConfig": {"ips": addresses}}, {}
    if where == "args":
        return {"args": {"cni": {"ips": addresses}}}, {}
    return {}, {"CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAME=x;IP={addresses[0]}"}


@pytest.mark.parametrize("where", ["runtimeConfig", "args", "CNI_ARGS"])
def test_an_address_can_be_requested(net: Network, where: str) -> None:
    """Each of the three ways gives exactly the address asked for."""
    more, env = requests(where, ["10.2.0.77"])
    outcome = net.call("ADD", net.conf("10.2.0.0/24") | more, **env)
    assert outcome.addresses == ["10.2.0.77"]


@pytest.mark.parametrize("where", ["runtimeConfig", "args"])
def test_requests_reach_the_set_they_lie_in(net: Network, where: str) -> None:
    """Several requests in any order, repeated (Podman does), with or without prefix."""
    asked = ["fd00::77/64", "10.2.0.77", "10.2.0.77", "fd00::77"]
    more, _ = requests(where, asked)
    outcome = net.call(
        "ADD", net.conf("10.2.0.0/24", "fd00::/64", "10.3.0.0/24") | more
    )
    assert outcome.addresses == ["10.2.0.77", "fd00::77", "10.3.0.2"]


def test_the_same_request_by_all_three_ways_is_one(net: Network) -> None:
    """A repeated address is accepted wherever it comes from."""
    conf = net.conf("10.2.0.0/24")
    conf |= requests("args", ["10.2.0.7"])[0]
    conf |= requests("runtimeConfig", ["10.2.0.7"])[0]
    assert net.call("ADD", conf, CNI_ARGS="IP=10.2.0.7").addresses == ["10.2.0.7"]


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        ("10.2.0.1", "requested ip 10.2.0.1 is subnet's gateway"),
        ("10.2.0.0", "failed to allocate all requested IPs: 10.2.0.0"),
        ("10.2.0.255", "requested ip 10.2.0.255 is subnet's broadcast address"),
        ("10.2.0.66", "requested ip 10.2.0.66 is excluded"),
        ("10.9.0.1", "failed to allocate all requested IPs: 10.9.0.1"),
        ("fd00::5", "failed to allocate all requested IPs: fd00::5"),
    ],
)
def test_impossible_requests_change_nothing(
    net: Network, asked: str, cause: str
) -> None:
    """A request that can never be met is refused before the disk is touched."""
    pool = {
        "subnet": "10.2.0.0/24",
        "rangeEnd": "10.2.0.255",
        "exclude": ["10.2.0.64/29"],
    }
    code, msg = net.call("ADD", net.conf(pool), CNI_ARGS=f"IP={asked}").failure
    assert code == 7
    assert msg.endswith(cause)
    assert not net.data_dir.exists()


def test_two_requests_for_one_set_are_refused(net: Network) -> None:
    """A set gives one address, so that the second request would be lost."""
    conf = net.conf("10.2.0.0/24") | requests("args", ["10.2.0.7", "10.2.0.8"])[0]
    code, msg = net.call("ADD", conf).failure
    assert code == 7
    assert msg.endswith("failed to allocate all requested IPs: 10.2.0.8")


@pytest.mark.parametrize(
    ("args", "cause"),
    [
        ("IP=10.2.0", "parse CNI_ARGS: IP: '10.2.0' is not an IP address"),
        ("FOO=1", "parse CNI_ARGS: unknown keys ['FOO']"),
        ("IP", "parse CNI_ARGS: invalid pair 'IP'"),
    ],
)
def test_malformed_cni_args_fail_add_and_never_del(
    net: Network, args: str, cause: str
) -> None:
    """ADD answers with code 4; DEL releases all the same."""
    conf = net.conf("10.2.0.0/24")
    assert net.call("ADD", conf, "c2", CNI_ARGS=args).failure == (4, cause)
    net.call("ADD", conf)
    assert net.call("DEL", conf, CNI_ARGS=args).status == 0
    assert net.leases == {}


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_old_versions_have_one_address_of_each_family(
    net: Network, version: str
) -> None:
    """One of each is fine and has the old shape; two of one family are refused."""
    conf = net.conf("10.2.0.0/24", "fd00::/64", version=version)
    outcome = net.call("ADD", conf)
    assert outcome.document["ip4"]["ip"] == "10.2.0.2/24"
    assert outcome.document["ip6"]["ip"] == "fd00::2/64"
    conf = net.conf("10.2.0.0/24", "10.3.0.0/24", version=version)
    code, msg = net.call("ADD", conf).failure
    cause = "does not support more than 1 address per family"
    assert (code, msg) == (7, f"parse ipam: CNI version {version} {cause}")


@pytest.mark.parametrize(
    ("ipam", "cause"),
    [
        ({}, "parse ipam: no IP ranges specified"),
        ({"ranges": []}, "parse ipam: no IP ranges specified"),
        ({"ranges": [[]]}, "parse ipam: invalid range set 0: empty range set"),
        (
            {"ranges": [[{"subnet": "10.0.0.0/31"}]]},
            (
                "parse ipam: invalid range set 0:"
                " Network 10.0.0.0/31 too small to allocate from"
            ),
        ),
        (
            {"subnet": "10.0.0.0/24", "ranges": [[{"subnet": "10.0.0.0/25"}]]},
            "parse ipam: range set 0 overlaps with 1",
        ),
        (
            {"ranges": [[{"subnet": "10.0.0.0"}]]},
            (
                "parse network configuration: ipam.ranges.0.0.subnet:"
                " '10.0.0.0' is not an address in CIDR notation"
            ),
        ),
        (
            {"ranges": [[{"subnet": "10.0.0.0/24", "exclude": ["10.0.0.300"]}]]},
            (
                "parse network configuration: ipam.ranges.0.0.exclude.0:"
                " '10.0.0.300' is not an IP address"
            ),
        ),
        (
            {"subnet": "10.0.0.0/24", "dataDir": "networks"},
            (
                "parse network configuration: ipam.dataDir:"
                " 'networks' is not an absolute path"
            ),
        ),
        (
            {"subnet": "10.0.0.0/24", "routes": [{"gw": "10.0.0.1"}]},
            "parse network configuration: ipam.routes.0.dst: Field required",
        ),
    ],
)
def test_broken_ipam_sections_are_refused(
    net: Network, ipam: dict[str, Any], cause: str
) -> None:
    """Code 7 names the key and the cause, and nothing is made on disk."""
    assert net.call("ADD", net.conf(**ipam)).failure == (7, cause)
    assert not net.data_dir.exists()


def test_missing_ipam_is_refused(net: Network) -> None:
    """A configuration without the section is told so."""
    conf = net.conf()
    del conf["ipam"]
    assert net.call("ADD", conf).failure == (
        7,
        "parse ipam: IPAM config missing 'ipam' key",
    )


def test_excluded_addresses_are_never_leased(net: Network) -> None:
    """What `exclude` leaves of the range is all that containers get."""
    pool = {
        "subnet": "10.2.0.0/28",
        "exclude": ["10.2.0.2", "10.2.0.4/30", "10.2.0.8/29"],
    }
    conf = net.conf(pool)
    assert net.call("ADD", conf, "c1").addresses == ["10.2.0.3"]
    assert net.call("ADD", conf, "c2").failure[0] == 11
