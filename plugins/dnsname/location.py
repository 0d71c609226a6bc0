# SPDX-License-Identifier: Apache-2.0
"""Where a container's names are served: at the gateways of its own addresses."""

from __future__ import annotations

from cni_common import previous
from cni_common.kernel import route_get
from cni_common.names import dnsmasq
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request
    from cni_common.spec.result import IP, Result


@dataclass(frozen=True)
class Facts:
    """The container's names and addresses; links and addresses of the host that serve
    them.
    """

    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    links: tuple[str, ...]
    servers: tuple[IPAddress, ...]


def find(request: Request, names: list[str], result: Result) -> Facts:
    """Return where `names` are served, as prevResult describes it.

    Raises Code.INVALID_CONFIG when no gateway is an address of this host, or not on the
    link by which the container is reached: there is nothing that could listen then.
    """
    own = [ip for ip in result.ips if previous.is_of_container(request, result, ip)]
    ips = [ip for ip in own if _is_for_neighbours(ip.address.ip)]
    if not ips:
        msg = f"serve names of {request.ifname}: prevResult has no address of it"
        raise CNIError(Code.INVALID_CONFIG, msg)
    servers: dict[IPAddress, str] = {}
    for ip in ips:
        link = _holder(ip)
        if ip.gateway is not None and link is not None:
            servers[ip.gateway] = link
    if not servers:
        asked = ", ".join(str(ip.gateway) for ip in ips if ip.gateway) or "none"
        msg = "serve names: no gateway in prevResult is an address of this host"
        details = f"gateways: {asked}; a bridge needs isGateway"
        raise CNIError(Code.INVALID_CONFIG, msg, details)
    links = tuple(sorted(set(servers.values())))
    for link in links:
        dnsmasq.check_link(link)
    addresses = tuple(ip.address.ip for ip in ips)
    return Facts(tuple(names), addresses, links, tuple(servers))


def _is_for_neighbours(address: IPAddress) -> bool:
    """Tell whether a neighbour can use `address`; fe80:: needs the name of a link."""
    usual = address.version == 4 and address.is_link_local  # noqa: PLR2004 - the family's number
    return usual or previous.is_reachable(address)


def _holder(ip: IP) -> str | None:
    """Return the link that has the gateway of `ip`; raises Code.INVALID_CONFIG
    if it is another than the container's.
    """
    if ip.gateway is None or ip.gateway.is_link_local:
        return None
    link = route_get.holder(ip.gateway)
    if link is None:
        return None
    towards = route_get.link_towards(ip.address.ip)
    if towards != link:
        msg = f"serve names at {ip.gateway}: link {link} has it,"
        cause = f"but {ip.address.ip} is reached by {towards}"
        raise CNIError(Code.INVALID_CONFIG, f"{msg} {cause}")
    return link
