# SPDX-License-Identifier: Apache-2.0
"""Addresses of links (ip-address(8)), and waiting for duplicate address detection."""

from __future__ import annotations

import errno
import ipaddress
import select
import time

from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    Change,
    Netlink,
    NetlinkError,
)
from cni_common.kernel.requests import (
    IFA_ADDRESS,
    IFA_LOCAL,
    IFADDRMSG,
    NETLINK_HEADER,
    Request,
)
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import CNIError, Code, refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.link_answer import Link

IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
GROUP_IPV6_ADDRESS = 0x100  # RTMGRP_IPV6_IFADDR
_NODAD, _DAD_FAILED, _TENTATIVE, _PERMANENT = 0x02, 0x08, 0x40, 0x80
_NOPREFIXROUTE = 0x200
_BROADCAST, _FLAGS = 4, 8  # IFA_*


@dataclass(frozen=True)
class Assigned:
    """An address that a link has; `tentative` while the kernel looks for a twin.

    One that is not `permanent` was given for a time, by a router or by DHCP.
    """

    address: IPInterface
    scope: int
    tentative: bool
    duplicate: bool
    permanent: bool


def of_link(netlink: Netlink, link: Link) -> list[Assigned]:
    """Return the addresses of `link`, both families."""
    return [held for index, held in listed(netlink, link.index) if index == link.index]


def of_others(netlink: Netlink, link: Link) -> list[tuple[int, Assigned]]:
    """Return the addresses of all links but `link`, with the index of each.

    The kernel lists every link: not for a call that happens with each container.
    """
    return [(index, held) for index, held in listed(netlink) if index != link.index]


def listed(netlink: Netlink, index: int = 0) -> list[tuple[int, Assigned]]:
    """Return the addresses of a link, or of all, with the index of each link.

    Raises Code.INTERNAL.
    """
    message = Request(IFADDRMSG.pack(0, 0, 0, 0, index))
    try:
        answers = netlink.dump(message, RTM_GETADDR, _Answer)
    except NetlinkError as error:
        raise refused("list addresses", error) from error
    return [(answer.index, answer.assigned) for answer in answers]


def additions(
    netlink: Netlink,
    link: Link,
    addresses: Sequence[IPInterface],
    *,
    detect_duplicates: bool = False,
    prefix_routes: bool = True,
) -> list[Change]:
    """Return the changes that add `addresses` to `link`, which holds none of them.

    But for those of router advertisements, which stay as the kernel has them. IPv6
    addresses are usable at once unless `detect_duplicates`. Without `prefix_routes` the
    kernel adds no route to their subnets, now or whenever the link comes up again.
    """

    def addition(address: IPInterface) -> Change:
        flags = _flags(address, detect_duplicates, prefix_routes)
        request = _message(link, address, flags), RTM_NEWADDR, CREATE | EXCLUSIVE

        def refusal(error: NetlinkError) -> CNIError | None:
            if _is_for_a_time(netlink, link, address, error):
                return None
            return refused(f"add address {address} of {link.name}", error)

        return Change(request, refusal)

    return [addition(address) for address in addresses]


def _is_for_a_time(
    netlink: Netlink, link: Link, address: IPInterface, error: NetlinkError
) -> bool:
    """Tell whether `link` has an address already, and not for ever."""
    if error.errno != errno.EEXIST or address.version == 4:  # noqa: PLR2004 - the family's number
        return False
    assigned = of_link(netlink, link)
    return any(a.address == address and not a.permanent for a in assigned)


def ensure(
    netlink: Netlink, link: Link, address: IPInterface, *, prefix_route: bool = True
) -> bool:
    """Ensure that `link` holds `address`; tell whether this call added it.

    Raises Code.INTERNAL.
    """
    flags = _flags(address, prefix_routes=prefix_route)
    message = _message(link, address, flags)
    (error,) = netlink.outcomes([(message, RTM_NEWADDR, CREATE | EXCLUSIVE)])
    if error is not None and error.errno != errno.EEXIST:
        raise refused(f"add address {address} of {link.name}", error)
    return error is None


def delete(netlink: Netlink, link: Link, address: IPInterface) -> None:
    """Delete `address` of `link`. Raises Code.INTERNAL."""
    message = _message(link, address, _flags(address))
    (error,) = netlink.outcomes([(message, RTM_DELADDR, 0)])
    if error is not None and error.errno not in {errno.EADDRNOTAVAIL, errno.ENODEV}:
        raise refused(f"delete address {address} of {link.name}", error)


def replacement(link: Link, address: IPInterface) -> tuple[Request, int, int]:
    """Return the request after which `link` holds `address`, be it there already."""
    return _message(link, address, _flags(address)), RTM_NEWADDR, CREATE | REPLACE


def deletion(link: Link, address: IPInterface) -> tuple[Request, int, int]:
    """Return the request that deletes `address` of `link`, which must be there."""
    return _message(link, address, _flags(address)), RTM_DELADDR, 0


def link_local(mac: str) -> ipaddress.IPv6Interface:
    """Return the address that a link with `mac` has by itself (RFC 4291, A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    prefix = b"\xfe\x80" + bytes(6)
    return ipaddress.IPv6Interface((prefix + identifier, 64))


def wait_usable(netlink: Netlink, link: Link, seconds: float = 10.0) -> None:
    """Return when no address of `link` is tentative any more.

    `netlink` must be a socket of the link's namespace, and the calling thread in it.
    Raises Code.INTERNAL for a duplicate and after `seconds`.
    """
    with Netlink(groups=GROUP_IPV6_ADDRESS) as events:
        until = time.monotonic() + seconds
        while True:
            assigned = of_link(netlink, link)
            for item in assigned:
                if item.duplicate:
                    msg = f"use address {item.address}: another host has it"
                    raise CNIError(Code.INTERNAL, msg)
            if not any(item.tentative for item in assigned):
                return
            left = until - time.monotonic()
            if left <= 0:
                msg = f"use addresses of {link.name}: still tentative"
                raise CNIError(Code.INTERNAL, msg, f"after {seconds:.0f} seconds")
            if select.select([events], [], [], left)[0]:
                events.receive()


def _flags(
    address: IPInterface,
    detect_duplicates: bool = False,  # noqa: FBT001, FBT002 - private, as `add` has it
    prefix_routes: bool = True,  # noqa: FBT001, FBT002 - private, as `add` has it
) -> int:
    flags = 0 if address.version == 4 or detect_duplicates else _NODAD  # noqa: PLR2004 - the family's number
    return flags if prefix_routes else flags | _NOPREFIXROUTE


def _message(link: Link, address: IPInterface, flags: int) -> Request:
    length = address.network.prefixlen
    packed = address.ip.packed
    body = IFADDRMSG.pack(FAMILY[address.version], length, 0, 0, link.index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    if address.version == 4 and length < 31:  # noqa: PLR2004 - RFC 3021: /31 has none
        body += attribute(_BROADCAST, address.network.broadcast_address.packed)
    if flags:
        body += number(_FLAGS, flags)
    return Request(body)


class _Answer:
    """A message about an address, to be decoded into link and address."""

    index: int
    assigned: Assigned

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read them; the link's own address, which of a pointed link is IFA_LOCAL."""
        head = IFADDRMSG.unpack_from(self._message, NETLINK_HEADER.size)
        _, length, flags, scope, self.index = head
        found = Attributes(self._message, NETLINK_HEADER.size + IFADDRMSG.size)
        packed = found.raw(IFA_LOCAL) or found.raw(IFA_ADDRESS)
        flags = found.number(_FLAGS) or flags
        self.assigned = Assigned(
            ipaddress.ip_interface((packed, length)),
            scope,
            bool(flags & _TENTATIVE),
            bool(flags & _DAD_FAILED),
            bool(flags & _PERMANENT),
        )
