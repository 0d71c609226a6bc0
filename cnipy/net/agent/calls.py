# SPDX-License-Identifier: Apache-2.0
"""What comes in on the agent's socket: a line of JSON a connection, answered by one."""

from __future__ import annotations

import asyncio

from cni_common import shapes
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    # What is asked, to what is answered; raises CNIError.
    Served = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_LINE_MAX = 1 << 16  # bytes
_LINE_WAIT = 10.0  # seconds
_ANSWER_WAIT = 10.0  # seconds


async def answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    served: Mapping[str, Served],
) -> None:
    """Answer one question by `served`, which has them by what is asked.

    Who does not wait for the answer has the work done all the same. Raises OSError.
    """
    try:
        try:
            async with asyncio.timeout(_LINE_WAIT):
                asked = _document(await _line(reader))
            said = await _served(asked, served)
        except CNIError as error:
            said = {"error": _as_document(error)}
        writer.write(f"{json_text.dumps(said)}\n".encode())
        writer.close()
        async with asyncio.timeout(_ANSWER_WAIT):
            await writer.wait_closed()
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()  # what nobody reads is not kept for him


async def _served(
    asked: dict[str, Any], served: Mapping[str, Served]
) -> dict[str, Any]:
    what = asked.get("ask")
    if not isinstance(what, str) or what not in served:
        hint = f"known are {' '.join(served)}"
        raise CNIError(Code.INVALID_ENVIRONMENT, f"ask {what!r:.80}: unknown", hint)
    return await served[what](asked)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:  # of the stream, whose limit is that of a line
        raise CNIError(Code.DECODE_FAILURE, f"read what is asked: {error}") from error


def _document(line: bytes) -> dict[str, Any]:
    try:
        if len(line) > _LINE_MAX:
            raise ValueError("it is too long")
        return shapes.mapping(json_text.loads(line))
    except (ValueError, RecursionError) as error:
        msg = f"read what is asked: {error}"
        raise CNIError(Code.DECODE_FAILURE, msg) from error


def _as_document(error: CNIError) -> dict[str, object]:
    told: dict[str, object] = {"code": error.code, "msg": error.msg}
    return {**told, "details": error.details} if error.details else told
