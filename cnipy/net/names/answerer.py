# SPDX-License-Identifier: Apache-2.0
"""The name server of the agent: the node's dnsmasqs ask it, and nobody else can."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from cni_common.spec.errors import CNIError, Code, cause_of
from cnipy.net.names import ADDRESS, PORT, message, zones
from cnipy.net.names.lookup import Lookup, UnknownError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnipy.net.names.lookup import Found
    from cnipy.net.names.message import Question, Record
    from cnipy.net.names.zones import Place
    from cnipy.net.records import NetworkConfig, NodeRecord
    from cnipy.net.store import Store

_AT_ONCE = 256  # datagrams that are not answered yet; further ones are dropped
_CONNECTIONS = 32
_IDLE = 10.0  # seconds that a connection may say nothing
_LENGTH = 2  # bytes before a message in TCP
_QUESTION_MAX = 1 << 12  # bytes; a question has 300


class Answerer:
    """Answers for the names and addresses of networks, by UDP and TCP."""

    def __init__(
        self,
        store: Store,
        members: Iterable[tuple[NetworkConfig, NodeRecord]] = (),
        *,
        at: tuple[str, int] = (ADDRESS, PORT),
    ) -> None:
        self._lookup, self._at = Lookup(store), at
        self._configs: tuple[NetworkConfig, ...] = ()
        self._answering: set[asyncio.Task[None]] = set()
        self._connections = 0
        self.learn(members)

    def learn(self, members: Iterable[tuple[NetworkConfig, NodeRecord]]) -> None:
        """Answer for these networks, in each as that node, and for no others."""
        every = list(members)
        self._configs = tuple(config for config, _ in every)
        self._lookup.learn(every)

    async def serve(self) -> None:
        """Answer until cancelled; raises Code.INTERNAL where the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            tcp = await asyncio.start_server(self._converse, *self._at)
            try:
                udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=self._at
                )
            except OSError:
                tcp.close()
                raise
        except OSError as error:
            msg = f"answer for names at {self._at[0]} port {self._at[1]}"
            raise CNIError(Code.INTERNAL, f"{msg}: {cause_of(error)}") from error
        try:
            await tcp.serve_forever()
        finally:
            udp.close()
            for each in self._answering:
                each.cancel()
            self._lookup.close()

    def heard(self, content: bytes, peer: tuple[str, int], by: _Datagrams) -> None:
        """Answer a datagram, unless too many are there already."""
        if len(self._answering) < _AT_ONCE:
            task = asyncio.ensure_future(self._reply(content, peer, by))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _reply(
        self, content: bytes, peer: tuple[str, int], by: _Datagrams
    ) -> None:
        answer = await self.answer(content, by_datagram=True)
        if answer and by.transport is not None and not by.transport.is_closing():
            by.transport.sendto(answer, peer)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer what comes by one connection, one question after the other."""
        self._connections += 1
        try:
            while self._connections <= _CONNECTIONS:
                async with asyncio.timeout(_IDLE):
                    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
                    if length > _QUESTION_MAX:
                        return
                    content = await reader.readexactly(length)
                    answer = await self.answer(content, by_datagram=False)
                    if not answer:
                        return
                    writer.write(len(answer).to_bytes(_LENGTH, "big") + answer)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            self._connections -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def answer(self, content: bytes, *, by_datagram: bool) -> bytes:
        """Return the answer to a message; nothing for what is not to be answered."""
        try:
            asked = message.question(content)
        except message.RefusedError as refused:
            return refused.answer
        place = zones.find(asked.labels, self._configs)
        if place is None:
            return message.answer(asked, message.REFUSED)
        answer = await self._of(asked, place)
        return (
            message.truncated(asked)
            if by_datagram and len(answer) > asked.limit
            else answer
        )

    async def _of(self, asked: Question, place: Place) -> bytes:
        if not place.exists:
            return message.answer(asked, message.NXDOMAIN, zone=place.zone)
        if not place.name and place.address is None:
            return message.answer(asked, message.NOERROR, zone=place.zone)
        try:
            found = await self._lookup.find(place)
        except UnknownError:
            return message.answer(asked, message.SERVFAIL)
        if found.entry is None:
            return message.answer(asked, message.NXDOMAIN, zone=place.zone)
        records = _records(asked, place, found)
        return message.answer(asked, message.NOERROR, records, place.zone)


def _records(asked: Question, place: Place, found: Found) -> list[Record]:
    """Return what is known of the kind that is asked for."""
    if found.entry is None:
        return []
    entry, ttl = found.entry, found.ttl
    every = [message.address(each, ttl) for each in entry.addresses if place.name]
    if place.address is not None:
        every += [message.pointer(name, ttl) for name in entry.names[:1]]
    return [one for one in every if asked.kind in {one.kind, message.ANY}]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of datagrams, which asyncio does not say

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answerer.heard(data, addr, self)
