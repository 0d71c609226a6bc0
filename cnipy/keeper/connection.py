# SPDX-License-Identifier: Apache-2.0
"""One connection to the keeper, of a plugin of ours or of the reference's."""

from __future__ import annotations

import asyncio

from cni_common.spec.errors import CNIError
from plugins.dhcp import gob, wire

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    Served = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_HELLO_WAIT = 10.0  # seconds


class Connection:
    """Calls that come in, one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._in = gob.Reader()
        self._out = gob.Writer()

    async def serve(self, methods: Mapping[str, tuple[Served, gob.Struct]]) -> None:
        """Answer calls by `methods`, each with the kind of its reply, until the end.

        Who hangs up while a method is at work has that cancelled. Raises ValueError and
        EOFError for what is no call, and OSError.
        """
        try:
            async with asyncio.timeout(_HELLO_WAIT):
                if not await self._greeted():
                    return
            while not self._reader.at_eof() and await self._answered(methods):
                pass
        finally:
            self._writer.close()

    async def _greeted(self) -> bool:
        line = first = await self._reader.readline()
        size = len(first)
        while line.strip():
            line = await self._reader.readline()
            size += len(line)
            if size > wire.HEAD_MAX:
                raise ValueError("a head that is too long")
        is_call = first.split()[:2] == wire.HELLO.split()[:2]
        if first:
            self._writer.write(wire.WELCOME if is_call else wire.UNWELCOME)
            await self._writer.drain()
        return is_call

    async def _answered(self, methods: Mapping[str, tuple[Served, gob.Struct]]) -> bool:
        head = await self._value()
        if head is None:
            return False
        args = await self._value()
        name = head.get("ServiceMethod", "")
        answer = {"ServiceMethod": name, "Seq": head.get("Seq", 0)}
        method, kind = methods.get(name, (None, wire.NOTHING))
        reply: dict[str, Any] | None = {}
        if method is None:
            answer["Error"] = f"rpc: can't find method {name:.80}"
        else:
            try:
                reply = await self._unless_hung_up(method(args or {}))
            except CNIError as error:
                answer["Error"] = f"{error} (code {error.code})"
                kind = wire.NOTHING
        if reply is None:
            return False
        said = self._out.message(wire.ANSWER, answer)
        self._writer.write(said + self._out.message(kind, reply))
        await self._writer.drain()
        return True

    async def _unless_hung_up(
        self, work: Awaitable[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Return what `work` returns; None if the caller does not wait for it."""
        doing = asyncio.ensure_future(work)
        hearing = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({doing, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return await doing
            return None
        finally:
            for each in (doing, hearing):
                each.cancel()
            await asyncio.gather(doing, hearing, return_exceptions=True)

    async def _value(self) -> dict[str, Any] | None:
        """Return the next struct, or None at the end."""
        while True:
            first = await self._reader.read(1)
            if not first:
                return None
            rest = await self._reader.readexactly(gob.width(first[0]))
            size = gob.length(first[0], rest)
            found = self._in.value(await self._reader.readexactly(size))
            if found is not None:
                return found
