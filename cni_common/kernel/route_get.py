# SPDX-License-Identifier: Apache-2.0
"""Ask the kernel through which link it sends to an address, and which one has it.

By hand instead of with pyroute2, whose import would cost portmap more than its work.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct

from cni_common.spec.errors import CNIError, Code

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_RTM_GETADDR, _RTM_GETROUTE, _ERROR, _REQUEST = 22, 26, 2, 1
_RTA_DST, _RTA_OIF = 1, 4  # IFA_ADDRESS has the number of RTA_DST
_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH
_TYPE, _LOCAL = 7, 2  # rtm_type in _ROUTE, RTN_LOCAL
_HEADER = struct.Struct("=LHHLL")
_ROUTE = struct.Struct("=BBBBBBBBL")
_ADDRESS = struct.Struct("=BBBBL")
_ATTRIBUTE = struct.Struct("=HH")


def link_towards(address: IPAddress) -> str:
    """Return the name of the link by which the calling thread's namespace reaches
    `address`; raises code 999 when there is no route.
    """
    return _link_of(_ask(address), address)


def holder(address: IPAddress) -> str | None:
    """Return the name of the link that has `address`, or None when none has it.

    For IPv4 the entry of the routing table is asked for, since the route would lead
    through `lo`. For IPv6 it is the address itself, of which the table learns later.
    """
    if address.version == 6:  # noqa: PLR2004 - the family's number
        answer = _send(
            _RTM_GETADDR, _ADDRESS.pack(socket.AF_INET6, 128, 0, 0, 0), address
        )
        if _is_error(answer):
            return None
        *_, index = _ADDRESS.unpack_from(answer, _HEADER.size)
        return socket.if_indextoname(index)
    answer = _ask(address, _FIB_MATCH)
    if _is_error(answer):
        return None
    route = _ROUTE.unpack_from(answer, _HEADER.size)
    return _link_of(answer, address) if route[_TYPE] == _LOCAL else None


def _ask(address: IPAddress, flags: int = 0) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the family's number
    length = address.max_prefixlen
    route = _ROUTE.pack(family, length, 0, 0, 0, 0, 0, 0, flags)
    return _send(_RTM_GETROUTE, route, address)


def _send(request: int, message: bytes, address: IPAddress) -> bytes:
    """Return the answer to a request whose first attribute is `address`."""
    packed = address.packed
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    body = message + attribute
    header = _HEADER.pack(_HEADER.size + len(body), request, _REQUEST, 1, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as netlink:
        netlink.send(header + body)
        return netlink.recv(1 << 15)


def _is_error(answer: bytes) -> bool:
    return bool(_HEADER.unpack_from(answer)[1] == _ERROR)


def _link_of(answer: bytes, address: IPAddress) -> str:
    length, *_ = _HEADER.unpack_from(answer)
    if _is_error(answer):
        (number,) = struct.unpack_from("=i", answer, _HEADER.size)
        cause = os.strerror(-number).lower()
        raise CNIError(Code.INTERNAL, f"find route to {address}: {cause}")
    offset = _HEADER.size + _ROUTE.size
    while offset + _ATTRIBUTE.size <= length:
        size, attribute = _ATTRIBUTE.unpack_from(answer, offset)
        if attribute == _RTA_OIF:
            (index,) = struct.unpack_from("=L", answer, offset + _ATTRIBUTE.size)
            return socket.if_indextoname(index)
        offset += (max(size, _ATTRIBUTE.size) + 3) & ~3
    raise CNIError(Code.INTERNAL, f"find route to {address}: it names no link")
