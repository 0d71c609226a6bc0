# SPDX-License-Identifier: Apache-2.0
"""bridge: gateways, next hops and default routes, as values."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

import pytest

from cni_common import layer3
from cni_common.spec.result import IP, Route
from plugins.bridge import gateway

if TYPE_CHECKING:
    from collections.abc import Sequence


def held(address: str, gw: str | None = None) -> IP:
    """Return an address with its gateway."""
    return IP(address=ip_interface(address), gateway=ip_address(gw) if gw else None)


def route(dst: str, gw: str | None = None, scope: int | None = None) -> Route:
    """Return a route."""
    return Route(dst=ip_interface(dst), gw=ip_address(gw) if gw else None, scope=scope)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.1.2.9/24", "10.1.2.1"), ("fd00::9/64", "fd00::1")],
)
def test_missing_gateway_is_the_first_address(address: str, expected: str) -> None:
    """An IPAM plugin that names no gateway gets the subnet's first address."""
    ip = gateway.with_gateway(held(address), is_gateway=True, interface=2)
    assert ip == IP(
        address=ip_interface(address), gateway=ip_address(expected), interface=2
    )


def test_gateway_is_not_invented_for_a_plain_bridge() -> None:
    """Without isGateway what the IPAM plugin said stays."""
    ip = gateway.with_gateway(held("10.1.2.9/24"), is_gateway=False, interface=2)
    assert ip.gateway is None


BOTH = [held("10.1.2.9/24", "10.1.2.1"), held("fd00::9/64", "fd00::1")]


@pytest.mark.parametrize(
    ("ips", "routes", "expected"),
    [
        (BOTH, [], [route("0.0.0.0/0", "10.1.2.1"), route("::/0", "fd00::1")]),
        (BOTH, [route("::/0")], [route("0.0.0.0/0", "10.1.2.1")]),
        (BOTH, [route("::/0"), route("0.0.0.0/0", "10.1.2.7")], []),
        ([held("10.1.2.9/24")], [], []),
        (
            [held("10.1.2.9/24", "10.1.2.1"), held("10.3.2.9/24", "10.3.2.1")],
            [],
            [route("0.0.0.0/0", "10.1.2.1")],
        ),
    ],
)
def test_default_routes(
    ips: Sequence[IP], routes: Sequence[Route], expected: Sequence[Route]
) -> None:
    """One default route a family, through its first gateway, if there is none yet."""
    assert gateway.default_routes(ips, routes) == expected


@pytest.mark.parametrize(
    ("wanted", "hop"),
    [
        (route("192.0.2.0/24"), "10.1.2.1"),
        (route("192.0.2.0/24", "10.1.2.7"), "10.1.2.7"),
        (route("2001:db8::/32"), "fd00::1"),
        (route("192.0.2.0/24", scope=253), None),
    ],
)
def test_next_hop(wanted: Route, hop: str | None) -> None:
    """A route without a gateway goes by the family's, unless it is on the link."""
    assert layer3.next_hop(wanted, BOTH) == (ip_address(hop) if hop else None)


def test_next_hop_without_any_gateway() -> None:
    """Where no address has a gateway the destination is on the link."""
    ips = [held("10.1.2.9/24")]
    assert layer3.next_hop(route("192.0.2.0/24"), ips) is None


def test_addresses_of_the_gateway() -> None:
    """Each gateway once, with the prefix length of its subnet."""
    ips = [*BOTH, held("10.1.2.10/24", "10.1.2.1"), held("10.7.0.1/16")]
    assert gateway.addresses_of(ips) == [
        ip_interface("10.1.2.1/24"),
        ip_interface("fd00::1/64"),
    ]
