# SPDX-License-Identifier: Apache-2.0
"""`cnipy net ping`: echo requests to a node's own address in a network, by the way that
packets of containers take.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import dataclass
from cnipy.cluster import stored
from cnipy.net import cache
from cnipy.net.agent.member import Member
from cnipy.verb import Answer

if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress
    from cnipy.net.conf import NetFile
    from cnipy.net.records import NodeRecord
    from cnipy.paper import Paper

_ECHO = {4: (8, 0), 6: (128, 129)}  # type of a request, and of its answer
_PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
# IP_MTU_DISCOVER and IPV6_MTU_DISCOVER; by IP*_PMTUDISC_PROBE nothing is in pieces.
_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
_PROBE = 3
_HEADER = struct.Struct(">BBHHH")
_IP_HEADER = {4: 20, 6: 40}
_SMALL = 56  # bytes behind the header, as ping(8) has
_WAIT, _PAUSE = 1.0, 0.2  # seconds
_COUNT_MAX = 1000
_AT_ONCE = 32  # addresses
_RECEIVE = 1 << 16


@dataclass(frozen=True)
class Echo:
    """What became of the requests to one address: seconds of those that were answered.

    `whole` tells whether one as long as the network's MTU was, `fault` why none could
    be sent.
    """

    address: IPAddress
    sent: int
    seconds: tuple[float, ...]
    mtu: int
    whole: bool
    fault: str = ""

    @property
    def is_well(self) -> bool:
        """Whether all were answered, the long one too."""
        return len(self.seconds) == self.sent and self.whole

    def text(self) -> str:
        """Return it as a line."""
        if self.fault:
            return f"{self.address}: {self.fault}"
        said = f"{self.address}: {len(self.seconds)} of {self.sent} answered"
        if not self.seconds:
            return said
        least = min(self.seconds) * 1000
        size = f"{self.mtu} bytes " + ("pass" if self.whole else "do not pass")
        return f"{said}, in {least:.2f} ms at best, {size}"

    def hint(self) -> list[str]:
        """Return which command goes on from there, if anything is amiss."""
        if self.is_well:
            return []
        size = f" --size {self.mtu}" if self.seconds and not self.whole else ""
        return [f"  `cnipy why host {self.address}{size}` says where it ends"]

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "address": str(self.address),
            "sent": self.sent,
            "seconds": list(self.seconds),
            "mtu": self.mtu,
            "whole": self.whole,
            "fault": self.fault,
        }


@dataclass(frozen=True)
class Asked:
    """What became of the requests to a node in a network; it may have no block."""

    record: NodeRecord
    network: str
    echoes: tuple[Echo, ...]

    @property
    def is_well(self) -> bool:
        """Whether all that was asked was answered, and anything was asked."""
        return bool(self.echoes) and all(each.is_well for each in self.echoes)

    def lines(self) -> list[str]:
        """Return a line for each address."""
        by = ", ".join(str(each) for each in self.record.underlay)
        head = f"{self.record.node} in {self.network}, at {by}"
        if not self.echoes:
            return [f"{head}: it has no block yet"]
        found = [line for e in self.echoes for line in (f"  {e.text()}", *e.hint())]
        return [head, *found]

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        told = [each.document() for each in self.echoes]
        return {"node": self.record.node, "network": self.network, "addresses": told}


class Echoes(Answer):
    """What became of all requests; the status is 1 unless all went well."""

    def __init__(self, found: list[Asked]) -> None:
        self._found = found
        self.status = 0 if all(each.is_well for each in found) else 1

    def lines(self, paper: Paper) -> list[str]:
        """Return the lines of each node."""
        del paper
        lines = [line for each in self._found for line in each.lines()]
        return lines or ["no other node is known"]

    def document(self) -> list[dict[str, Any]]:
        """Return it as JSON values."""
        return [each.document() for each in self._found]


def ping(node: str | None, network: str | None, count: int) -> Echoes:
    """Return how a node, or each, answers in the networks that this one shares with it.

    Raises CNIError where there is no such node or network.
    """
    if not 1 <= count <= _COUNT_MAX:
        msg = f"read --count {count}: not between 1 and {_COUNT_MAX}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    conf = stored.conf()
    whom = _whom(conf, node, [stored.joined(network)] if network else cache.joined())
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = [
            (record, name, [threads.submit(_echo, a, count, mtu) for a in addresses])
            for record, name, addresses, mtu in whom
        ]
        return Echoes(
            [
                Asked(record, name, tuple(each.result() for each in echoes))
                for record, name, echoes in asked
            ]
        )


def _whom(
    conf: NetFile, node: str | None, networks: list[str]
) -> list[tuple[NodeRecord, str, list[IPAddress], int]]:
    """Return the records of who is meant, with network, addresses and MTU there."""
    found = []
    known: set[str] = set()
    for name in networks:
        member = Member(name, conf, lambda _: None)
        peers, mtu = member.peers(), member.mtu()
        known |= peers.keys()
        for record in (r for n, r in sorted(peers.items()) if node in {None, n}):
            first: dict[int, IPAddress] = {}
            for block in record.blocks:
                first.setdefault(block.version, block.network_address)
            found.append((record, name, [*first.values()], mtu))
    if node is not None and not found:
        where = f"network {networks[0]}" if len(networks) == 1 else "any network here"
        msg = f"find node {node:.80} in {where}: it is not known here"
        hint = f"known are {' '.join(sorted(known)) or 'none'}"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return found


def _echo(address: IPAddress, count: int, mtu: int) -> Echo:
    version = address.version
    small, longest = b"\0" * _SMALL, b"\0" * (mtu - _IP_HEADER[version] - _HEADER.size)
    try:
        raw = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        with socket.socket(_FAMILY[version], raw, _PROTOCOL[version]) as line:
            line.setsockopt(*_DISCOVER[version], _PROBE)
            line.connect((str(address), 0))
            answered = []
            for number in range(count):
                took = _asked(line, version, number, small)
                answered += [took] if took is not None else []
                if number + 1 < count:
                    time.sleep(_PAUSE)
            whole = bool(answered) and _passes(line, version, count, longest)
    except OSError as error:
        return Echo(address, count, (), mtu, whole=False, fault=cause_of(error))
    return Echo(address, count, tuple(answered), mtu, whole)


def _passes(line: socket.socket, version: int, number: int, content: bytes) -> bool:
    try:
        return _asked(line, version, number, content) is not None
    except OSError:  # the way out is narrower than that
        return False


def _asked(
    line: socket.socket, version: int, number: int, content: bytes
) -> float | None:
    """Return after how many seconds a request was answered, None if it was not."""
    request, answer = _ECHO[version]
    own = os.getpid() & 0xFFFF
    summed = _sum(_HEADER.pack(request, 0, 0, own, number) + content)
    began = time.monotonic()
    try:
        line.send(_HEADER.pack(request, 0, summed, own, number) + content)
        while (left := began + _WAIT - time.monotonic()) > 0:
            line.settimeout(left)
            packet = line.recv(_RECEIVE)
            at = (packet[0] & 0xF) * 4 if version == 4 else 0  # noqa: PLR2004 - IPv4
            if len(packet) < at + _HEADER.size:
                continue
            kind, _, _, whose, which = _HEADER.unpack_from(packet, at)
            if (kind, whose, which) == (answer, own, number):
                return time.monotonic() - began
    except (TimeoutError, ConnectionRefusedError):
        pass
    return None


def _sum(content: bytes) -> int:
    """Return the checksum of ICMP (RFC 1071); for IPv6 the kernel makes its own."""
    padded = content + b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
