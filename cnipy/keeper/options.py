# SPDX-License-Identifier: Apache-2.0
"""What options of a lease hold (RFC 2132 and others), and the result of that."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from cni_common.spec.result import IP, Dns, Result, Route
from plugins.dhcp import domains
from plugins.dhcp.codes import (
    CLASSLESS,
    DOMAIN,
    MTU,
    ROUTERS,
    ROUTES,
    SEARCH,
    SERVERS,
)

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

_MTU_MIN = 68  # RFC 791
_LINK_SCOPE = 253


def result(address: IPv4Interface, options: Mapping[int, bytes], metric: int) -> Result:
    """Return the result of a lease; `metric` is that of its routes, 0 for none."""
    gateway = next(iter(addresses(options, ROUTERS)), None)
    found = routes(options)
    mtu = _mtu(options)
    update = {"priority": metric, "mtu": mtu}
    servers = [str(each) for each in addresses(options, SERVERS)]
    domain = options.get(DOMAIN, b"").decode("utf-8", "replace").strip("\0 ")
    return Result(
        ips=[IP(address=address, gateway=gateway)],
        routes=[each.model_copy(update=update) for each in found],
        dns=Dns(
            nameservers=servers or None,
            domain=domain if domain.isprintable() else "",
            search=domains.listed(options.get(SEARCH, b"")) or None,
        ),
    )


def addresses(options: Mapping[int, bytes], code: int) -> list[IPv4Address]:
    """Return the addresses that an option lists; one that is cut short is left out."""
    held = options.get(code, b"")
    return [IPv4Address(held[at : at + 4]) for at in range(0, len(held) // 4 * 4, 4)]


def routes(options: Mapping[int, bytes]) -> list[Route]:
    """Return the routes; those without classes stand in the place of all others.

    RFC 3442 has it so, where a server gives both.
    """
    classless = _classless(options.get(CLASSLESS, b""))
    if classless:
        return classless
    listed = addresses(options, ROUTES)
    found = [
        Route(dst=IPv4Interface(f"{dst}/{_class_of(dst)}"), gw=gw)
        for dst, gw in zip(listed[::2], listed[1::2], strict=False)
        if int(dst)
    ]
    gateway = next(iter(addresses(options, ROUTERS)), None)
    if gateway is not None:
        found.append(Route(dst=IPv4Interface("0.0.0.0/0"), gw=gateway))
    return found


def _mtu(options: Mapping[int, bytes]) -> int:
    held = options.get(MTU, b"")
    mtu = int.from_bytes(held, "big") if len(held) == 2 else 0  # noqa: PLR2004 - 16 bits
    return mtu if mtu >= _MTU_MIN else 0


def _classless(content: bytes) -> list[Route]:
    """Return the routes of RFC 3442, up to one that is cut short or makes no sense."""
    found, at = [], 0
    while at < len(content):
        length = content[at]
        size = (length + 7) // 8
        held = content[at + 1 : at + 1 + size + 4]
        if length > 32 or len(held) != size + 4:  # noqa: PLR2004 - bits of IPv4
            break
        dst = IPv4Address(held[:size].ljust(4, b"\0"))
        gateway = IPv4Address(held[size:])
        where = IPv4Interface((dst, length)).network
        route = Route(dst=IPv4Interface(str(where)), gw=gateway)
        if not int(gateway):  # what is on the link itself
            route = Route(dst=IPv4Interface(str(where)), scope=_LINK_SCOPE)
        found.append(route)
        at += 1 + size + 4
    return found


def _class_of(dst: IPv4Address) -> int:
    first = dst.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24  # noqa: PLR2004 - RFC 791
