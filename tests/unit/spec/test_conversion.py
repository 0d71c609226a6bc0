# SPDX-License-Identifier: Apache-2.0
"""Writing a result and reading it back loses nothing that the version can say."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.spec.result import IP, Dns, Interface, Result, Route
from cni_common.spec.versions import SUPPORTED

TEXT = st.text(min_size=1, max_size=8)
TEXTS = st.lists(TEXT, max_size=2) | st.none()
NUMBER = st.integers(0, 2**32 - 1)
INTERFACES = st.builds(
    Interface,
    name=TEXT,
    mac=TEXT,
    mtu=NUMBER,
    sandbox=st.just("") | TEXT,
    socket_path=st.just("") | TEXT,
    pci_id=st.just("") | TEXT,
)


def not_mapped(value: ipaddress.IPv6Address) -> bool:
    """An IPv4-mapped address is IPv4, as in Go, and is not what was written."""
    return value.ipv4_mapped is None


ADDRESS = st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(not_mapped)


@st.composite
def cidrs(draw: st.DrawFn) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Return an address with a prefix length of its family."""
    address = draw(ADDRESS)
    prefix = draw(st.integers(1, address.max_prefixlen))
    return ipaddress.ip_interface(f"{address}/{prefix}")


IPS = st.builds(
    IP,
    address=cidrs(),
    gateway=st.none() | ADDRESS,
    interface=st.none() | st.integers(0, 3),
)
ROUTES = st.builds(
    Route,
    dst=cidrs(),
    gw=st.none() | ADDRESS,
    mtu=NUMBER,
    advmss=NUMBER,
    priority=NUMBER,
    table=st.none() | NUMBER,
    scope=st.none() | NUMBER,
)
RESULTS = st.builds(
    Result,
    interfaces=st.lists(INTERFACES, max_size=3),
    ips=st.lists(IPS, max_size=3),
    routes=st.lists(ROUTES, max_size=3),
    dns=st.builds(
        Dns,
        nameservers=TEXTS,
        domain=st.just("") | TEXT,
        search=TEXTS,
        options=TEXTS,
    ),
)


def sayable(result: Result, version: str) -> Result:
    """Return what `version` can say of `result`."""
    routes = result.routes
    interfaces = result.interfaces
    ips = result.ips
    if version < "1.1.0":
        routes = [Route(dst=route.dst, gw=route.gw) for route in routes]
        interfaces = [
            Interface(name=link.name, mac=link.mac, sandbox=link.sandbox)
            for link in interfaces
        ]
    if version < "0.3.0":
        interfaces = []
        first = {ip.address.version: ip for ip in reversed(ips)}
        ips = [
            IP(address=first[family].address, gateway=first[family].gateway)
            for family in sorted(first)
        ]
        routes = [r for f in sorted(first) for r in routes if r.dst.version == f]
    lists = {
        key: getattr(result.dns, key) or None
        for key in ("nameservers", "search", "options")
    }
    dns = Dns(domain=result.dns.domain, **lists)
    return Result(interfaces=interfaces, ips=ips, routes=routes, dns=dns)


@pytest.mark.parametrize("version", SUPPORTED)
@given(result=RESULTS)
def test_round_trip_loses_nothing(version: str, result: Result) -> None:
    """What a version can say is the same after writing and reading, and twice so."""
    if version < "0.3.0" and not result.ips:
        return
    document = result.document(version)
    again = Result.read(document, version)
    assert again == sayable(result, version)
    assert again.document(version) == document
