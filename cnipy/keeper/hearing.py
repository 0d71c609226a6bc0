# SPDX-License-Identifier: Apache-2.0
"""Waiting for what comes in on a link, beside all else that the keeper does."""

from __future__ import annotations

import asyncio
import os

from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.packets import Wire

_FIRST, _LONGEST = 0.5, 8.0  # seconds between two questions


async def heard(wire: Wire, until: float) -> tuple[bytes, bytes] | None:
    """Return a packet and who sent it, or None if there is none by `until`.

    What came in while this process had other things to do counts as in time. Raises
    Code.INTERNAL.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0)  # others have their turn, however much comes in
        try:
            found = wire.received()
        except OSError as error:
            raise refused(f"receive on {wire.name}", error) from error
        if found is not None or loop.time() >= until:
            return found
        ready = loop.create_future()
        loop.add_reader(wire.socket, _set, ready)
        try:
            async with asyncio.timeout_at(until):
                await ready
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(wire.socket)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def pauses() -> Iterator[float]:
    """Yield seconds to wait for an answer; many clients do not ask all at once."""
    wait = _FIRST
    while True:
        yield wait * (0.8 + 0.4 * os.urandom(1)[0] / 255)
        wait = min(wait * 2, _LONGEST)
