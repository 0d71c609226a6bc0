# SPDX-License-Identifier: Apache-2.0
"""Sockets of this host that wait for packets from anybody (sock_diag(7))."""

from __future__ import annotations

import ipaddress
import struct
from _socket import AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP
from contextlib import suppress

from cni_common.kernel import raw_netlink
from cni_common.kernel.attributes import Attributes
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.spec.fields import IPAddress

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_REQUEST = struct.Struct("=BBBxL HH16s16sLQ")  # inet_diag_req_v2
_SOCKET = struct.Struct("=4x HH16s16sL8x 16xL")  # inet_diag_msg
_PORT, _NETWORK = struct.Struct("=H"), struct.Struct("!H")
_V6ONLY = 11  # INET_DIAG_SKV6ONLY
# The state of a socket that waits: TCP_LISTEN, and TCP_CLOSE of an unconnected one.
_WAITING = {
    "tcp": (IPPROTO_TCP, 1 << 10),
    "udp": (IPPROTO_UDP, 1 << 7),
    "sctp": (IPPROTO_SCTP, 1 << 10),
}


class Listener(NamedTuple):
    """A socket that waits at `port` of each of `addresses`, unspecified for all."""

    port: int
    addresses: tuple[IPAddress, ...]
    inode: int


def of(protocol: str, ports: Collection[int]) -> list[Listener]:
    """Return the sockets of the calling thread's namespace that wait at `ports`.

    Empty where the kernel cannot tell: sock_diag may be a module that is missing.
    """
    number, states = _WAITING[protocol]
    only = next(iter(ports)) if len(ports) == 1 else 0  # 0 stands for any
    found: list[Listener] = []
    for family in (AF_INET, AF_INET6):
        with suppress(OSError):
            found += _dump(family, number, states, only)
    return [listener for listener in found if listener.port in ports]


def _dump(family: int, protocol: int, states: int, port: int) -> list[Listener]:
    (network,) = _PORT.unpack(_NETWORK.pack(port))
    nobody = b"\0" * 16
    body = _REQUEST.pack(family, protocol, 0, states, network, 0, nobody, nobody, 0, 0)
    found = raw_netlink.dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, body)
    return [_listener(family, answer) for answer in found]


def _listener(family: int, answer: bytes) -> Listener:
    network, _, source, _, _, inode = _SOCKET.unpack_from(answer)
    (port,) = _NETWORK.unpack(_PORT.pack(network))
    if family == AF_INET:
        return Listener(port, (ipaddress.IPv4Address(source[:4]),), inode)
    address = ipaddress.IPv6Address(source)
    if address.ipv4_mapped:
        return Listener(port, (address.ipv4_mapped,), inode)
    if address.is_unspecified and not Attributes(answer, _SOCKET.size).number(_V6ONLY):
        return Listener(port, (address, ipaddress.IPv4Address(0)), inode)
    return Listener(port, (address,), inode)
