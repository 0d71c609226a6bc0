# SPDX-License-Identifier: Apache-2.0
"""What nftables did with traced packets, as the kernel tells it (NFT_MSG_TRACE).

By hand: libnftables has `monitor trace` for a terminal alone, and does not return from
it. The attributes are those of linux/netfilter/nf_tables.h (docs/decisions/0053).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

from cni_common.kernel import raw_netlink, sockets
from cni_common.kernel.attributes import Attributes
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.sockets import Socket
    from cni_common.spec.fields import IPAddress

_MSG_TRACE = 10 << 8 | 17  # NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE
_GROUP, _SOL_NETLINK, _ADD_MEMBERSHIP = 9, 270, 1  # NFNLGRP_NFTRACE
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = 1, 2, 3, 4, 5, 6  # NFTA_TRACE_*
_NETWORK_HEADER, _TRANSPORT_HEADER, _IIF, _OIF, _POLICY = 8, 9, 10, 12, 16
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_KINDS = {1: "policy", 2: "return", 3: "rule"}
_VERDICTS = {0: "drop", 1: "accept", -1: "continue", -3: "jump", -4: "goto"}
# A question for a neighbour is told of at each of 1023 ports, by every chain there.
_BUFFER = 1 << 26
_V4_LENGTH, _V6_LENGTH = 20, 40
_IPV4, _PORTS = 4, struct.Struct("!HH")


class Event(NamedTuple):
    """A rule, or the end of a chain, that a traced packet came to.

    kind: rule, return or policy; verdict: accept, drop, jump, goto, continue, return.
    Addresses and ports are told by the first event of each base chain alone, as are
    the indexes of links, 0 for none.
    """

    family: str
    table: str
    chain: str
    kind: str
    verdict: str
    packet: int
    handle: int = 0
    target: str = ""
    iif: int = 0
    oif: int = 0
    source: IPAddress | None = None
    destination: IPAddress | None = None
    sport: int = 0
    dport: int = 0


def listening() -> Socket:
    """Return a socket on which the calling thread's namespace tells of its packets.

    Raises OSError.
    """
    opened = raw_netlink.to_netfilter()
    try:
        sockets.make_room(opened, _BUFFER)
        opened.bind((0, 0))  # what has no number yet is told nothing
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def told(socket: Socket) -> Iterator[Event]:
    """Yield what has been told by now. Raises OSError, ENOBUFS where some was lost."""
    while True:
        try:
            data = socket.recv(1 << 16)
        except BlockingIOError:
            return
        for kind, body in raw_netlink.messages(data):
            if kind == _MSG_TRACE:
                yield _event(body)


def _event(body: bytes) -> Event:
    family, *_ = raw_netlink.GENERIC.unpack_from(body)
    found = Attributes(body, raw_netlink.GENERIC.size)
    source, destination, sport, dport = _headers(
        found.raw(_NETWORK_HEADER), found.raw(_TRANSPORT_HEADER)
    )
    kind = _KINDS.get(_big(found.raw(_TYPE)), "unknown")
    verdict = found.nested(_VERDICT)
    code = _signed(found.raw(_POLICY) or verdict.raw(_VERDICT_CODE))
    return Event(
        family=_FAMILIES.get(family, str(family)),
        table=found.text(_TABLE),
        chain=found.text(_CHAIN),
        kind=kind,
        verdict=_VERDICTS.get(code, "return" if code == -5 else str(code)),  # noqa: PLR2004 - NFT_RETURN
        packet=_big(found.raw(_ID)),
        handle=_big(found.raw(_HANDLE)),
        target=verdict.text(_VERDICT_CHAIN),
        iif=_big(found.raw(_IIF)),
        oif=_big(found.raw(_OIF)),
        source=source,
        destination=destination,
        sport=sport,
        dport=dport,
    )


def _headers(
    network: bytes, transport: bytes
) -> tuple[IPAddress | None, IPAddress | None, int, int]:
    """Return what the headers say of whom a packet is from and for."""
    if not network:
        return None, None, 0, 0
    if network[0] >> 4 == _IPV4 and len(network) >= _V4_LENGTH:
        pair = (network[12:16], network[16:20])
    elif len(network) >= _V6_LENGTH:
        pair = (network[8:24], network[24:40])
    else:
        return None, None, 0, 0
    source, destination = map(ipaddress.ip_address, pair)
    has_ports = len(transport) >= _PORTS.size
    ports = _PORTS.unpack_from(transport) if has_ports else (0, 0)
    return source, destination, *ports


def _big(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)
