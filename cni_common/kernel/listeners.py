# SPDX-License-Identifier: Apache-2.0
"""Sockets of this host that wait for packets from anybody (sock_diag(7))."""

from __future__ import annotations

import ipaddress
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cni_common.kernel import nfnetlink

if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.spec.fields import IPAddress

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_HEADER = struct.Struct("=LHHLL")
_REQUEST = struct.Struct("=BBBxL HH16s16sLQ")  # inet_diag_req_v2
_SOCKET = struct.Struct("=4x HH16s16sL8x 16xL")  # inet_diag_msg
_PORT, _NETWORK = struct.Struct("=H"), struct.Struct("!H")
_ATTRIBUTE = struct.Struct("=HH")
_V6ONLY = 11  # INET_DIAG_SKV6ONLY
# The state of a socket that waits: TCP_LISTEN, and TCP_CLOSE of an unconnected one.
_WAITING = {
    "tcp": (socket.IPPROTO_TCP, 1 << 10),
    "udp": (socket.IPPROTO_UDP, 1 << 7),
    "sctp": (socket.IPPROTO_SCTP, 1 << 10),
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
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            found += _dump(family, number, states, only)
    return [listener for listener in found if listener.port in ports]


def _dump(family: int, protocol: int, states: int, port: int) -> list[Listener]:
    (network,) = _PORT.unpack(_NETWORK.pack(port))
    nobody = b"\0" * 16
    body = _REQUEST.pack(family, protocol, 0, states, network, 0, nobody, nobody, 0, 0)
    flags = nfnetlink.REQUEST | nfnetlink.DUMP
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as netlink:
        netlink.send(header + body)
        return [_listener(family, answer) for answer in nfnetlink.answers(netlink)]


def _listener(family: int, answer: bytes) -> Listener:
    network, _, source, _, _, inode = _SOCKET.unpack_from(answer)
    (port,) = _NETWORK.unpack(_PORT.pack(network))
    if family == socket.AF_INET:
        return Listener(port, (ipaddress.IPv4Address(source[:4]),), inode)
    address = ipaddress.IPv6Address(source)
    if address.ipv4_mapped:
        return Listener(port, (address.ipv4_mapped,), inode)
    if address.is_unspecified and not _is_v6only(answer):
        return Listener(port, (address, ipaddress.IPv4Address(0)), inode)
    return Listener(port, (address,), inode)


def _is_v6only(answer: bytes) -> bool:
    offset = _SOCKET.size
    while offset + _ATTRIBUTE.size < len(answer):
        size, kind = _ATTRIBUTE.unpack_from(answer, offset)
        if kind == _V6ONLY:
            return bool(answer[offset + _ATTRIBUTE.size])
        offset += (max(size, _ATTRIBUTE.size) + 3) & ~3
    return False
