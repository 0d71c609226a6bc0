# SPDX-License-Identifier: Apache-2.0
"""What the agent does about who asks it, and reads no answer."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from lab import PATIENCE

from cnipy.net.agent import calls

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LONG = 4 << 20  # bytes: more than a socket keeps for who does not read


async def _long(_: dict[str, Any]) -> dict[str, Any]:
    return {"said": "x" * LONG}


async def _ask(path: Path) -> bytes:
    """Return what is read of an answer after it was given up."""
    ended = asyncio.Event()

    async def connected(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await calls.answer(reader, writer, {"much": _long})
        ended.set()

    server = await asyncio.start_unix_server(connected, path)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(b'{"ask": "much"}\n')
        async with asyncio.timeout(10 * PATIENCE):
            await ended.wait()
        with line.makefile("rb") as answer:  # the agent goes on meanwhile
            found = await asyncio.to_thread(answer.read)
        server.close()
        return found


def test_answer_that_nobody_reads_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped after its time, with the connection."""
    monkeypatch.setattr(calls, "_ANSWER_WAIT", 0.2)
    assert len(asyncio.run(_ask(tmp_path / "s"))) < LONG
