# SPDX-License-Identifier: Apache-2.0
"""Results are in exactly the configuration's version and shape, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cni_common.spec.errors import CNIError
from cni_common.spec.result import Result
from cni_common.spec.versions import SUPPORTED

NETNS = "/run/netns/c1"
NEWEST: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "interfaces": [
        {"name": "cni0", "mac": "02:00:00:00:00:01", "mtu": 1400},
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:02",
            "mtu": 1400,
            "sandbox": NETNS,
            "socketPath": "/run/s",
            "pciID": "0000:00:1f.6",
        },
    ],
    "ips": [
        {"address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 1},
        {"address": "10.1.2.4/24", "interface": 0},
        {"address": "fd00::3/64"},
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "10.1.2.1",
            "mtu": 1300,
            "advmss": 1260,
            "priority": 100,
            "table": 0,
            "scope": 0,
        },
        {"dst": "fd01::/64"},
    ],
    "dns": {"nameservers": ["10.1.2.1"], "domain": "d", "search": ["s"]},
}
DNS = NEWEST["dns"]
ROUTES = [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}, {"dst": "fd01::/64"}]
LINKS = [
    {"name": "cni0", "mac": "02:00:00:00:00:01"},
    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": NETNS},
]
FAMILIES = [
    {"version": family, **ip}
    for family, ip in zip(("4", "4", "6"), NEWEST["ips"], strict=True)
]
LEGACY = {
    "ip4": {"ip": "10.1.2.3/24", "gateway": "10.1.2.1", "routes": ROUTES[:1]},
    "ip6": {"ip": "fd00::3/64", "routes": ROUTES[1:]},
    "dns": DNS,
}
CHAINED = {"interfaces": LINKS, "ips": FAMILIES, "routes": ROUTES, "dns": DNS}
GOLDEN: dict[str, dict[str, Any]] = {
    "0.1.0": LEGACY,
    "0.2.0": LEGACY,
    "0.3.0": CHAINED,
    "0.3.1": CHAINED,
    "0.4.0": CHAINED,
    "1.0.0": {**CHAINED, "ips": NEWEST["ips"]},
    "1.1.0": NEWEST,
}


def newest() -> Result:
    """Return the result that has everything."""
    return Result.read(NEWEST, "1.1.0")


@pytest.mark.parametrize("version", SUPPORTED)
def test_document_has_the_shape_of_its_version(version: str) -> None:
    """A result is printed as its version has it, with nothing of a later one."""
    document = {"cniVersion": version} | GOLDEN[version]
    assert newest().document(version) == document


@pytest.mark.parametrize("version", SUPPORTED)
def test_document_is_json(version: str) -> None:
    """A document holds nothing that JSON cannot say."""
    document = newest().document(version)
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize("version", SUPPORTED[2:5])
def test_empty_result_before_1_0_0_has_dns(version: str) -> None:
    """Versions 0.3.0 to 0.4.0 always print dns, and no empty list."""
    assert Result().document(version) == {"cniVersion": version, "dns": {}}


@pytest.mark.parametrize("version", SUPPORTED[5:])
def test_empty_result_is_its_version(version: str) -> None:
    """From 1.0.0 on, what is empty is left out."""
    assert Result().document(version) == {"cniVersion": version}


@pytest.mark.parametrize("version", SUPPORTED[:2])
def test_result_without_address_cannot_be_said_before_0_3_0(version: str) -> None:
    """0.1.0 and 0.2.0 know addresses only: without one there is an error."""
    with pytest.raises(CNIError) as raised:
        Result().document(version)
    assert (raised.value.code, version in raised.value.msg) == (7, True)


@pytest.mark.parametrize("version", SUPPORTED[2:6])
def test_ipam_result_keeps_what_it_says_of_routes(version: str) -> None:
    """The delegating plugin gets mtu, table and the like in any version."""
    document = newest().document(version, keep_route_fields=True)
    assert document["routes"] == NEWEST["routes"]


def test_absent_interface_is_not_the_first() -> None:
    """An address of no interface stays one, and that of the first keeps its 0."""
    document = newest().document("1.0.0")
    assert [ip.get("interface") for ip in document["ips"]] == [1, 0, None]


@pytest.mark.parametrize("dst", ["3ffe:ffff:0:1ff::1/64", "10.1.2.3/8"])
@pytest.mark.parametrize("version", SUPPORTED)
def test_route_is_handed_on_as_it_came(version: str, dst: str) -> None:
    """Bits behind the prefix length stay, whoever may compare them later."""
    routes = [{"dst": dst, "gw": "10.9.9.9" if "." in dst else "fe80::1"}]
    address = "10.1.2.4/24" if "." in dst else "fd00::1/64"
    given: dict[str, Any] = {"ips": [{"address": address}], "routes": routes}
    if version in SUPPORTED[:2]:
        member = "ip4" if "." in dst else "ip6"
        given = {member: {"ip": address, "routes": routes}}
    document = Result.read(given, version).document(version)
    assert document.get("routes", document.get("ip4", document.get("ip6"))) == (
        routes if "ips" in given else next(iter(given.values()))
    )


def test_mapped_address_of_a_previous_result_is_ipv4() -> None:
    """As Go reads and writes it: address, gateway and routes."""
    given = {
        "ips": [{"address": "::ffff:10.0.0.1/120", "gateway": "::ffff:10.0.0.254"}],
        "routes": [{"dst": "::ffff:10.9.0.0/112", "gw": "::ffff:10.0.0.254"}],
    }
    assert Result.read(given, "1.1.0").document("1.1.0") == {
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.0.0.1/24", "gateway": "10.0.0.254"}],
        "routes": [{"dst": "10.9.0.0/16", "gw": "10.0.0.254"}],
    }


def test_sandbox_is_passed_literally() -> None:
    """The path of the namespace is neither cleaned nor resolved."""
    sandbox = "/proc/self/../self//ns/net"
    given = {"interfaces": [{"name": "eth0", "sandbox": sandbox}]}
    document = Result.read(given, "1.1.0").document("1.1.0")
    assert document["interfaces"] == given["interfaces"]


@pytest.mark.parametrize("stated", [None, "", "1.0.0"])
def test_previous_result_in_the_same_version_is_read(stated: str | None) -> None:
    """A prevResult says the configuration's version, or none."""
    document = {**GOLDEN["1.0.0"], "cniVersion": stated}
    assert Result.read(document, "1.0.0").document("1.0.0")["ips"] == NEWEST["ips"]


@pytest.mark.parametrize("stated", ["1.1.0", "0.4.0", "1.0", "1.0.0 ", 1, ["1.0.0"]])
def test_previous_result_in_another_version_is_refused(stated: object) -> None:
    """A prevResult of another version than the configuration's is a decode error."""
    with pytest.raises(CNIError) as raised:
        Result.read({**NEWEST, "cniVersion": stated}, "1.0.0")
    assert raised.value.code == 6


@pytest.mark.parametrize("version", SUPPORTED)
def test_empty_gateway_is_none(version: str) -> None:
    """Go reads an empty text as no address, and so do the runtimes' documents."""
    ip: dict[str, Any] = {"address": "10.1.2.3/24", "gateway": ""}
    route = {"dst": "0.0.0.0/0", "gw": ""}
    given: dict[str, Any] = {"ips": [ip], "routes": [route]}
    if version in SUPPORTED[:2]:
        legacy = {"ip": ip["address"], "gateway": "", "routes": [route]}
        given = {"ip4": legacy}
    result = Result.read(given, version)
    assert (result.ips[0].gateway, result.routes[0].gw) == (None, None)
    assert "gateway" not in result.document("1.1.0")["ips"][0]
    assert result.document("1.1.0")["routes"] == [{"dst": "0.0.0.0/0"}]


@pytest.mark.parametrize("document", [[], "x", 7])
def test_previous_result_that_is_no_object_is_refused(document: object) -> None:
    """A prevResult is an object."""
    with pytest.raises(CNIError) as raised:
        Result.read(document, "1.0.0")
    assert (raised.value.code, raised.value.msg) == (
        6,
        "decode prevResult: not a JSON object",
    )


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"ips": 7}, "ips"),
        ({"ips": [{}]}, "ips.0.address"),
        ({"ips": [{"address": "10.1.2.3"}]}, "ips.0.address"),
        ({"ips": [{"address": "10.1.2.3/33"}]}, "ips.0.address"),
        ({"ips": [{"address": "10.1.2.3/24", "gateway": "x"}]}, "ips.0.gateway"),
        ({"ips": [{"address": "10.1.2.3/24", "interface": "0"}]}, "ips.0.interface"),
        ({"routes": [{"dst": "10.1.2.3"}]}, "routes.0.dst"),
        ({"routes": [{"dst": "10.1.2.0/24", "mtu": 1.0}]}, "routes.0.mtu"),
        ({"interfaces": [{"mac": "x"}]}, "interfaces.0.name"),
        ({"dns": {"nameservers": "x"}}, "dns.nameservers"),
    ],
)
def test_malformed_previous_result_is_code_7(document: object, key: str) -> None:
    """The message leads to the place in the prevResult."""
    with pytest.raises(CNIError) as raised:
        Result.read(document, "1.0.0")
    assert raised.value.code == 7
    assert raised.value.msg.startswith(f"parse prevResult: {key}: ")


@pytest.mark.parametrize(
    ("index", "found"), [(None, None), (0, 0), (1, 1), (2, None), (-1, None)]
)
def test_index_that_names_no_interface_is_none(
    index: int | None, found: int | None
) -> None:
    """An index of -1 or beyond the interfaces is told on, and counts as absent."""
    ip = {"address": "10.1.2.3/24"} | ({} if index is None else {"interface": index})
    document = {"cniVersion": "1.0.0", "interfaces": [{"name": "a"}, {"name": "b"}]}
    result = Result.read({**document, "ips": [ip]}, "1.0.0")
    assert result.index_of(result.ips[0]) == found
    assert result.document("1.0.0")["ips"] == [ip]


def test_unknown_and_deep_keys_of_a_previous_result_are_passed_over() -> None:
    """What nobody reads does no harm, however deep it is."""
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert Result.read({"x": deep, "ips": [], "Routes": None}, "1.1.0") == Result()


def test_dns_that_was_written_empty_was_given() -> None:
    """An empty list says something: it replaces what IPAM says."""
    assert Result.read({"dns": {}}, "1.0.0").dns.is_given() is False
    assert Result.read({"dns": {"search": []}}, "1.0.0").dns.is_given() is True
    assert Result.read({"dns": {"domain": "d"}}, "1.0.0").dns.is_given() is True
