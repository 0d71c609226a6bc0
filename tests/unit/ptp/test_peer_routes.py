# SPDX-License-Identifier: Apache-2.0
"""ptp: which routes a pair needs, from the addresses alone."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cni_common import peer_routes
from cni_common.peer_routes import PeerRoute
from cni_common.spec.errors import CNIError
from cni_common.spec.result import IP


def one(address: str, gateway: str | None = None) -> IP:
    """Return an address of the container with its gateway."""
    document = {"address": address, "gateway": gateway}
    return peer_routes.with_gateway(IP.model_validate(document), 1)


def hop(dst: str, gw: str | None, source: str | None) -> PeerRoute:
    """Return a route."""
    addresses = [ip_address(text) if text else None for text in (gw, source)]
    return PeerRoute(ip_network(dst), *addresses)


def test_routes_of_two_families() -> None:
    """Gateways first, since the subnets lead through them."""
    ips = [one("10.1.2.3/24"), one("fd00::3/64", "fd00::9")]
    assert peer_routes.container_routes(ips) == [
        hop("10.1.2.1/32", None, "10.1.2.3"),
        hop("fd00::9/128", None, "fd00::3"),
        hop("10.1.2.0/24", "10.1.2.1", "10.1.2.3"),
        hop("fd00::/64", "fd00::9", "fd00::3"),
    ]
    assert peer_routes.host_routes(ips) == [
        hop("10.1.2.3/32", None, "10.1.2.1"),
        hop("fd00::3/128", None, "fd00::9"),
    ]
    assert list(map(str, peer_routes.gateways(ips))) == ["10.1.2.1/32", "fd00::9/128"]


def test_two_addresses_of_one_subnet() -> None:
    """Gateway and subnet have one route, with the first address as its source."""
    ips = [one("10.1.2.3/24"), one("10.1.2.4/24")]
    assert peer_routes.container_routes(ips) == [
        hop("10.1.2.1/32", None, "10.1.2.3"),
        hop("10.1.2.0/24", "10.1.2.1", "10.1.2.3"),
    ]
    assert len(peer_routes.host_routes(ips)) == 2
    assert list(map(str, peer_routes.gateways(ips))) == ["10.1.2.1/32"]


def test_subnet_of_one_address_has_no_route() -> None:
    """An address by itself has no neighbours; its gateway is anywhere."""
    ips = [one("10.1.2.3/32", "169.254.1.1")]
    assert peer_routes.container_routes(ips) == [
        hop("169.254.1.1/32", None, "10.1.2.3")
    ]


@pytest.mark.parametrize("gateway", ["169.254.1.1", "fe80::1"])
def test_link_local_gateway_is_no_source(gateway: str) -> None:
    """The host talks to the container from an address that it has itself."""
    address = "fd00::3/64" if ":" in gateway else "10.1.2.3/24"
    assert peer_routes.host_routes([one(address, gateway)])[0].source is None


@pytest.mark.parametrize(
    ("address", "gateway"),
    [("10.1.2.1/24", None), ("10.1.2.3/32", None), ("10.1.2.3/24", "10.1.2.3")],
)
def test_no_address_is_left_for_the_host(address: str, gateway: str | None) -> None:
    """Both ends cannot have the same address."""
    with pytest.raises(CNIError, match="no other one is left for the host's end"):
        one(address, gateway)


@given(some.ip_addresses(), some.integers(0, 32))
def test_gateway_is_another_address(address: object, shorter: int) -> None:
    """A gateway that is chosen is of the subnet and not the container's, or none is."""
    longest = ip_address(str(address)).max_prefixlen
    text = f"{address}/{longest - shorter}"
    if ip_address(str(address)).version == 6 and "::ffff:" in text:
        return
    try:
        chosen = one(text)
    except CNIError:
        return
    assert chosen.gateway is not None
    assert chosen.gateway in chosen.address.network
    assert chosen.gateway != chosen.address.ip
