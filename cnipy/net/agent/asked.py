# SPDX-License-Identifier: Apache-2.0
"""The blocks that plugins wait for, one after the other, and none longer than it must.

A store that hangs costs its deadline with each question. Who waited while one such
question failed is told so at once: its own would fail no sooner.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from cni_common.pool import held
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPNetwork
    from cnipy.net.agent.member import Member


class Asked:
    """What is asked of one member, in a thread of its own."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._pool = ThreadPoolExecutor(1, f"{member.name}-asked")
        self._away: CNIError | None = None
        self._away_at = 0.0

    async def more(self, version: int, seen: int) -> tuple[IPNetwork, ...]:
        """Return the blocks of a family, more than `seen`; one is claimed if need be.

        Raises CNIError where none can be.
        """
        loop = asyncio.get_running_loop()
        asked_at = time.monotonic()
        return await loop.run_in_executor(
            self._pool, self._more, version, seen, asked_at
        )

    def end(self) -> None:
        """Answer nobody any more, but who is about to be."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _more(self, version: int, seen: int, asked_at: float) -> tuple[IPNetwork, ...]:
        present = held.read(self._member.name)
        if present and len(present.usable(version)) > seen:
            return present.usable(version)
        if self._away and asked_at <= self._away_at:
            raise CNIError(self._away.code, self._away.msg, self._away.details)
        try:
            return self._member.more(version, seen)
        except CNIError as error:
            if error.code == Code.TRY_AGAIN_LATER:
                self._away, self._away_at = error, time.monotonic()
            raise
