# SPDX-License-Identifier: Apache-2.0
"""What the kernel would do with a packet: its route, or why it has none.

For a packet that comes in by a link the kernel answers as if it had come.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from _socket import NETLINK_ROUTE
from typing import TYPE_CHECKING

from cni_common.kernel import raw_netlink, sockets
from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.requests import RTMSG
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress

_GETROUTE, _GETNEIGH, _ERROR = 26, 30, 2
_DST, _SRC, _IIF, _OIF, _GATEWAY, _PREFSRC, _METRICS = 1, 2, 3, 4, 5, 7, 8
_MTU = 2
_KIND = 7  # rtm_type in RTMSG
_KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
}
_NDMSG = struct.Struct("=BxxxiHBB")
_LLADDR = 2
_STATES = {
    1: "incomplete",
    2: "reachable",
    4: "stale",
    8: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_NUMBER = struct.Struct("=i")


class Route(NamedTuple):
    """Where a packet goes; `error` is why nowhere, 0 if it goes.

    kind is that of ip-route(8); `source` is the address that the kernel would choose.
    """

    error: int
    kind: str = ""
    link: int = 0
    gateway: IPAddress | None = None
    source: IPAddress | None = None
    mtu: int = 0


class Neighbour(NamedTuple):
    """Who has an address on a link: state as ip-neighbour(8) has it, and the MAC."""

    state: str
    mac: str


def lookup(
    destination: IPAddress, source: IPAddress | None = None, *, iif: int = 0
) -> Route:
    """Return the route of a packet that the calling thread's namespace sends.

    Or, with the index of a link, of one that comes in by it. Raises Code.INTERNAL.
    """
    length = destination.max_prefixlen
    head = RTMSG.pack(
        sockets.FAMILY[destination.version],
        length,
        length if source else 0,
        0,
        0,
        0,
        0,
        0,
        0,
    )
    body = head + attribute(_DST, destination.packed)
    if source is not None:
        body += attribute(_SRC, source.packed)
    if iif:
        body += number(_IIF, iif)
    kind, answer = _asked(_GETROUTE, body, f"route to {destination}")
    if kind == _ERROR:
        (told,) = _NUMBER.unpack_from(answer)
        return Route(-told)
    return _route(answer)


def _route(answer: bytes) -> Route:
    found = Attributes(answer, RTMSG.size)
    kind = _KINDS.get(RTMSG.unpack_from(answer)[_KIND], "unknown")
    refusing = {
        "blackhole": errno.EINVAL,
        "unreachable": errno.EHOSTUNREACH,
        "prohibit": errno.EACCES,
    }
    return Route(
        refusing.get(kind, 0),
        kind,
        found.number(_OIF),
        _address(found.raw(_GATEWAY)),
        _address(found.raw(_PREFSRC)),
        found.nested(_METRICS).number(_MTU),
    )


def _address(packed: bytes) -> IPAddress | None:
    return ipaddress.ip_address(packed) if packed else None


def neighbour(address: IPAddress, index: int) -> Neighbour | None:
    """Return who has `address` on the link, as far as the namespace knows; or None.

    Raises Code.INTERNAL.
    """
    family = sockets.FAMILY[address.version]
    body = _NDMSG.pack(family, index, 0, 0, 0) + attribute(_DST, address.packed)
    kind, answer = _asked(_GETNEIGH, body, f"neighbour {address}")
    if kind == _ERROR:
        return None
    _, _, state, _, _ = _NDMSG.unpack_from(answer)
    mac = Attributes(answer, _NDMSG.size).raw(_LLADDR).hex(":")
    return Neighbour(_STATES.get(state, str(state)), mac)


def _asked(kind: int, body: bytes, what: str) -> tuple[int, bytes]:
    """Return type and text of the one answer."""
    try:
        with sockets.netlink(NETLINK_ROUTE) as link:
            link.send(raw_netlink.request(kind, body))
            return next(raw_netlink.messages(link.recv(1 << 15)))
    except OSError as error:
        raise CNIError(Code.INTERNAL, f"find {what}: {cause_of(error)}") from error
