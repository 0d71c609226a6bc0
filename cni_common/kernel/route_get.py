# SPDX-License-Identifier: Apache-2.0
"""Ask the kernel through which link it sends to an address, and which one has it.

By hand instead of with pyroute2, whose import would cost portmap more than its work.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from _socket import AF_INET6, NETLINK_ROUTE, if_indextoname
from errno import ENOBUFS, ENOMEM, EPERM

from cni_common.kernel import sockets
from cni_common.kernel.attributes import Attributes, attribute, pairs
from cni_common.kernel.requests import IFADDRMSG
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_RTM_GETADDR, _RTM_GETROUTE, _ERROR, _REQUEST = 22, 26, 2, 1
# IFA_ADDRESS has the number of RTA_DST.
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 1, 4, 5, 9, 18
_BEYOND = {_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA}
_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH
_LENGTH, _PROTOCOL, _TYPE = 1, 5, 7  # rtm_dst_len and others in _ROUTE
_UNICAST, _LOCAL, _BROADCAST = 1, 2, 3  # RTN_*
_KERNEL = 2  # RTPROT_KERNEL
_UNASKED = {EPERM, ENOMEM, ENOBUFS}  # others say that there is nothing
_HEADER = struct.Struct("=LHHLL")
_ROUTE = struct.Struct("=BBBBBBBBL")
_BODY = _HEADER.size + _ROUTE.size  # where the attributes of a route begin


@dataclass(frozen=True)
class Connected:
    """A destination that is on a link itself, without a gateway.

    `is_own` tells that the kernel made the route for an address of the link.
    """

    dst: IPNetwork
    link: str
    is_own: bool


def connected(address: IPAddress) -> Connected | None:
    """Return what the calling thread's namespace is connected to that has `address`;
    None where it is beyond a gateway, nowhere, or the host's own.

    Raises Code.INTERNAL, as `holder` does, where the kernel could not look.
    """
    answer = _ask(address, _FIB_MATCH)
    if _is_absent(answer, address):
        return None
    route = _ROUTE.unpack_from(answer, _HEADER.size)
    found = {kind for kind, _ in pairs(answer, _BODY)}
    if route[_TYPE] != _UNICAST or found & _BEYOND or _RTA_OIF not in found:
        return None
    dst = ipaddress.ip_network((address, route[_LENGTH]), strict=False)
    return Connected(dst, _link_of(answer, address), route[_PROTOCOL] == _KERNEL)


def link_towards(address: IPAddress) -> str:
    """Return the name of the link by which the calling thread's namespace reaches
    `address`; raises Code.INTERNAL when there is no route.
    """
    return _link_of(_ask(address), address)


def find_link_towards(address: IPAddress) -> str | None:
    """Return the link as `link_towards` does, or None when there is no route.

    Raises Code.INTERNAL where the kernel could not look.
    """
    answer = _ask(address)
    return None if _is_absent(answer, address) else _link_of(answer, address)


def holder(address: IPAddress) -> str | None:
    """Return the name of the link that has `address`, or None when none has it.

    For IPv4 the entry of the routing table is asked for, since the route would lead
    through `lo`. For IPv6 it is the address itself, of which the table learns later.
    """
    if address.version == 6:  # noqa: PLR2004 - the family's number
        answer = _send(_RTM_GETADDR, IFADDRMSG.pack(AF_INET6, 128, 0, 0, 0), address)
        if _is_absent(answer, address):
            return None
        *_, index = IFADDRMSG.unpack_from(answer, _HEADER.size)
        return if_indextoname(index)
    answer = _ask(address, _FIB_MATCH)
    if _is_absent(answer, address):
        return None
    route = _ROUTE.unpack_from(answer, _HEADER.size)
    return _link_of(answer, address) if route[_TYPE] == _LOCAL else None


def is_broadcast(address: ipaddress.IPv4Address) -> bool:
    """Tell whether what is sent to `address` is for all of a link.

    Raises Code.INTERNAL where the kernel could not look.
    """
    answer = _ask(address, _FIB_MATCH)
    if _is_absent(answer, address):
        return False
    return bool(_ROUTE.unpack_from(answer, _HEADER.size)[_TYPE] == _BROADCAST)


def _ask(address: IPAddress, flags: int = 0) -> bytes:
    family = sockets.FAMILY[address.version]
    length = address.max_prefixlen
    route = _ROUTE.pack(family, length, 0, 0, 0, 0, 0, 0, flags)
    return _send(_RTM_GETROUTE, route, address)


def _send(request: int, message: bytes, address: IPAddress) -> bytes:
    """Return the answer to a request whose first attribute is `address`."""
    body = message + attribute(_RTA_DST, address.packed)
    header = _HEADER.pack(_HEADER.size + len(body), request, _REQUEST, 1, 0)
    try:
        with sockets.netlink(NETLINK_ROUTE) as netlink:
            netlink.send(header + body)
            return netlink.recv(1 << 15)
    except OSError as error:
        msg = f"find route to {address}: {cause_of(error)}"
        raise CNIError(Code.INTERNAL, msg) from error


def _error(answer: bytes) -> int:
    """Return the number of the error that the kernel answers, 0 for none."""
    if _HEADER.unpack_from(answer)[1] != _ERROR:
        return 0
    (number,) = struct.unpack_from("=i", answer, _HEADER.size)
    return int(-number)


def _is_absent(answer: bytes, address: IPAddress) -> bool:
    """Tell whether there is none; raises Code.INTERNAL where nobody has looked."""
    number = _error(answer)
    if number in _UNASKED:
        raise _failure(address, number)
    return number != 0


def _failure(address: IPAddress, number: int) -> CNIError:
    cause = os.strerror(number).lower()
    return CNIError(Code.INTERNAL, f"find route to {address}: {cause}")


def _link_of(answer: bytes, address: IPAddress) -> str:
    if number := _error(answer):
        raise _failure(address, number)
    index = Attributes(answer, _BODY).number(_RTA_OIF)
    if index:
        return if_indextoname(index)
    raise CNIError(Code.INTERNAL, f"find route to {address}: it names no link")
