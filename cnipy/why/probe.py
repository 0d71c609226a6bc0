# SPDX-License-Identifier: Apache-2.0
"""One packet that is sent as an application would, and what becomes of it."""

from __future__ import annotations

import errno
import secrets
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from cni_common.spec.errors import refused
from cni_common.spec.values import NamedTuple
from cnipy.why.flow import ICMP, TCP, UDP, Flow
from cnipy.why.packet import ECHO, REQUEST, checksum

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from cnipy.why.flow import Goal
    from cnipy.why.place import Place

# A first packet that waits for its neighbour is told to be lost after three seconds.
PATIENCE = 3.5
_IP_RECVERR, _IPV6_RECVERR, _MSG_ERRQUEUE = 11, 25, 0x2000
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _DO = 10, 23, 2
_EXTENDED = struct.Struct("=IBBBBII")  # struct sock_extended_err
_BY_ICMP = {2, 3}  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_REPLY = {4: 0, 6: 129}
_HEADERS = {4: 28, 6: 48}  # of IP, with that of UDP or of an echo
_IPV4 = 4


class Outcome(NamedTuple):
    """What the sender hears.

    kind: answered, refused, silent, or failed with `error`; `by` who has refused by
    ICMP; mtu: what a link takes, where the packet was too big.
    """

    kind: str
    error: int = 0
    by: str = ""
    mtu: int = 0


class Probe:
    """A socket in `source`, which has sent nothing yet.

    `patience` is for how many seconds it listens to what comes of that.
    """

    def __init__(self, source: Place, goal: Goal, patience: float = PATIENCE) -> None:
        self._goal, version = goal, goal.address.version
        self._patience = patience
        family = socket.AF_INET if version == _IPV4 else socket.AF_INET6
        try:
            with source.inside():
                if goal.protocol == ICMP:
                    self._identifier = 1 + secrets.randbelow(0xFFFF)
                    proto = socket.IPPROTO_ICMP
                    proto = proto if version == _IPV4 else socket.IPPROTO_ICMPV6
                    self._socket = socket.socket(family, socket.SOCK_RAW, proto)
                else:
                    is_tcp = goal.protocol == TCP
                    kind = socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM
                    self._socket = socket.socket(family, kind)
                    self._socket.bind(("", 0))
        except OSError as error:
            raise refused(f"open socket in {source.name}", error) from error
        self._socket.setblocking(False)
        level = socket.IPPROTO_IP if version == _IPV4 else socket.IPPROTO_IPV6
        option = _IP_RECVERR if version == _IPV4 else _IPV6_RECVERR
        self._socket.setsockopt(level, option, 1)
        if goal.size:
            option = _IP_MTU_DISCOVER if version == _IPV4 else _IPV6_MTU_DISCOVER
            self._socket.setsockopt(level, option, _DO)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._socket.close()

    @property
    def flow(self) -> Flow:
        """The packets that are sent, and those that answer."""
        if self._goal.protocol == ICMP:
            return Flow(self._goal, self._identifier)
        return Flow(self._goal, self._socket.getsockname()[1])

    def send(self, collect: Callable[[], None]) -> Outcome:
        """Send the packet, and return what is heard of it in a few seconds.

        What the places have seen, which `collect` takes, waits until then.
        """
        del collect
        until = time.monotonic() + self._patience
        try:
            refusal = self._start()
        except OSError as error:
            return self._failed(error.errno or errno.EIO)
        if refusal not in {0, errno.EINPROGRESS}:
            return self._failed(refusal)
        while (left := until - time.monotonic()) > 0:
            outcome = self._heard(left)
            if outcome is not None:
                return outcome
        return Outcome("silent")

    def _start(self) -> int:
        to = (str(self._goal.address), self._goal.port)
        if self._goal.protocol == TCP:
            return self._socket.connect_ex(to)
        version = self._goal.address.version
        data = bytes(max(self._goal.size - _HEADERS[version], 0))
        if self._goal.protocol == UDP:
            self._socket.connect(to)
            self._socket.send(data)
            return 0
        self._socket.connect((to[0], 0))
        head = ECHO.pack(REQUEST[version], 0, 0, self._identifier, 1)
        if version == _IPV4:  # for IPv6 the kernel writes it
            told = checksum(head + data)
            head = ECHO.pack(REQUEST[version], 0, told, self._identifier, 1)
        self._socket.send(head + data)
        return 0

    def _heard(self, seconds: float) -> Outcome | None:
        waiting = select.poll()
        is_tcp = self._goal.protocol == TCP
        waiting.register(self._socket, select.POLLOUT if is_tcp else select.POLLIN)
        if not waiting.poll(seconds * 1000):
            return None
        if is_tcp:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return self._failed(number) if number else Outcome("answered")
        try:
            content = self._socket.recv(1 << 16)
        except BlockingIOError:
            return self._extended()
        except OSError as error:
            return self._failed(error.errno or errno.EIO)
        if self._goal.protocol == UDP or self._is_reply(content):
            return Outcome("answered")
        return None

    def _is_reply(self, content: bytes) -> bool:
        version = self._goal.address.version
        start = (content[0] & 15) * 4 if version == _IPV4 else 0
        if len(content) < start + ECHO.size:
            return False
        kind, _, _, identifier, _ = ECHO.unpack_from(content, start)
        return bool(kind == _REPLY[version] and identifier == self._identifier)

    def _failed(self, number: int) -> Outcome:
        told = self._extended()
        if told is not None and told.error == number:
            return told
        kind = "refused" if number == errno.ECONNREFUSED else "failed"
        return Outcome(kind, number)

    def _extended(self) -> Outcome | None:
        """Return what the error queue says, which tells who has refused."""
        try:
            _, ancillary, _, _ = self._socket.recvmsg(1, 512, _MSG_ERRQUEUE)
        except OSError:
            return None
        for _, _, data in ancillary:
            if len(data) < _EXTENDED.size:
                continue
            number, origin, _, _, _, info, _ = _EXTENDED.unpack_from(data)
            by = _offender(data[_EXTENDED.size :]) if origin in _BY_ICMP else ""
            mtu = info if number == errno.EMSGSIZE else 0
            kind = "refused" if number == errno.ECONNREFUSED else "failed"
            return Outcome(kind, number, by, mtu)
        return None


def _offender(address: bytes) -> str:
    """Return the address in a struct sockaddr."""
    (family,) = struct.unpack_from("=H", address)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return ""
