# SPDX-License-Identifier: Apache-2.0
"""What plugin and keeper say to each other: Go's net/rpc, as the reference has it.

A connection begins as HTTP and goes on in gob. A call is a head and its arguments, an
answer a head, with an error perhaps, and its reply.
"""

from __future__ import annotations

import ipaddress

from cni_common.spec.result import IP, Dns, Result, Route
from plugins.dhcp.gob import BYTES, INT, TEXT, ListOf, Struct

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

_NET = Struct("IPNet", (("IP", BYTES), ("Mask", BYTES)))
_IP = Struct("IPConfig", (("Interface", INT), ("Address", _NET), ("Gateway", BYTES)))
_ROUTE = Struct(
    "Route",
    (
        ("Dst", _NET),
        ("GW", BYTES),
        ("MTU", INT),
        ("AdvMSS", INT),
        ("Priority", INT),
        ("Table", INT),
        ("Scope", INT),
    ),
)
_TEXTS = ListOf(TEXT)
_DNS = Struct(
    "DNS",
    (
        ("Nameservers", _TEXTS),
        ("Domain", TEXT),
        ("Search", _TEXTS),
        ("Options", _TEXTS),
    ),
)
RESULT = Struct(
    "Result",
    (
        ("CNIVersion", TEXT),
        ("IPs", ListOf(_IP)),
        ("Routes", ListOf(_ROUTE)),
        ("DNS", _DNS),
    ),
)


def of_result(result: Result) -> dict[str, Any]:
    """Return a result as the reference's value of it."""
    return {
        "IPs": [
            {"Address": _of_net(ip.address), "Gateway": _of_address(ip.gateway)}
            for ip in result.ips
        ],
        "Routes": [
            {
                "Dst": _of_net(route.dst),
                "GW": _of_address(route.gw),
                "MTU": route.mtu or None,
                "AdvMSS": route.advmss or None,
                "Priority": route.priority or None,
                "Table": route.table,
                "Scope": route.scope,
            }
            for route in result.routes
        ],
        "DNS": {
            "Nameservers": result.dns.nameservers,
            "Domain": result.dns.domain,
            "Search": result.dns.search,
            "Options": result.dns.options,
        },
    }


def to_result(value: dict[str, Any]) -> Result:
    """Return a result of the reference; raises ValueError for what is none."""
    dns = _members(value.get("DNS", {}))
    return Result(
        ips=[
            IP(address=_net(ip.get("Address", {})), gateway=_address(ip.get("Gateway")))
            for ip in _listed(value.get("IPs", []))
        ],
        routes=[
            Route(
                dst=_net(route.get("Dst", {})),
                gw=_address(route.get("GW")),
                mtu=route.get("MTU", 0),
                advmss=route.get("AdvMSS", 0),
                priority=route.get("Priority", 0),
                table=route.get("Table"),
                scope=route.get("Scope"),
            )
            for route in _listed(value.get("Routes", []))
        ],
        dns=Dns(
            nameservers=dns.get("Nameservers"),
            domain=dns.get("Domain", ""),
            search=dns.get("Search"),
            options=dns.get("Options"),
        ),
    )


def _of_net(net: Any) -> dict[str, bytes]:
    return {"IP": net.ip.packed, "Mask": net.netmask.packed}


def _of_address(address: Any) -> bytes:
    return address.packed if address else b""


def _members(value: object) -> dict[str, Any]:
    """Return a struct; who answers says itself of which types its values are."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.40}, no struct")
    return value


def _listed(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r:.40}, no list")
    return [_members(each) for each in value]


def _octets(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{value!r:.40}, no bytes")
    return value


def _net(value: object) -> Any:
    told = _members(value)
    mask = int.from_bytes(_octets(told.get("Mask", b"")), "big")
    return ipaddress.ip_interface((_address(told.get("IP")), mask.bit_count()))


def _address(packed: object) -> Any:
    """Return an address; Go has those of IPv4 in the form of IPv6 as well."""
    if packed is None or not _octets(packed):
        return None
    address = ipaddress.ip_address(_octets(packed))
    return getattr(address, "ipv4_mapped", None) or address
