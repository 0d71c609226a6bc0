# SPDX-License-Identifier: Apache-2.0
"""What an agent does again and again for one network, and when.

All of it blocks, and so happens in threads of the network's own: one for what is
regular, another for what plugins wait for (asked.py), so that these do not wait for a
store that is away longer than they must.
"""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cni_common.spec.errors import CNIError
from cnipy.net.agent.asked import Asked
from cnipy.net.agent.naming import Announcing

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cnipy.net.agent.member import Member

    Result = TypeVar("Result")

SPREAD = 0.2  # which part of a time it is more or less
PUBLISH = 1.0  # seconds between two heads at least
ANNOUNCE = 1.0  # seconds between two looks at which names there are
_RETRY = 5.0  # seconds until what went wrong is tried again, at most
_FAREWELL = 2.0  # seconds for letting another node publish
KEEP = 60.0  # seconds between two looks at what node and store have of each other


class Turns:
    """The loops of one member, which is polled every `seconds`.

    What nobody foresaw is what `fail` is called with.
    """

    def __init__(
        self,
        member: Member,
        seconds: float,
        tell: Callable[[str], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.member = member
        self._seconds = seconds
        self._fail = fail
        self._tell = tell
        self._regular = ThreadPoolExecutor(1, f"{member.name}-regular")
        self.asked = Asked(member)
        self._announcing = Announcing(member, member.store, tell)
        self._tasks: list[asyncio.Task[None]] = []
        self._told: dict[str, str] = {}

    def begin(self) -> None:
        """Begin to do everything at its time."""
        member = self.member
        loops = (
            self._again(member.poll, self._seconds, SPREAD),
            self._again(member.publish, PUBLISH),
            self._again(member.keep, KEEP, SPREAD),
            self._again(member.follow, KEEP, SPREAD),
            self._again(member.move, KEEP, SPREAD),
            self._again(self._announcing.announce, ANNOUNCE),
        )
        self._tasks = [asyncio.create_task(each) for each in loops]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Stop; what is under way comes to its end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self.once(self.member.close)
        self._regular.shutdown(wait=False, cancel_futures=True)
        self.asked.end()

    async def once(self, work: Callable[..., Result], *given: Any) -> Result:
        """Return what the member does between two regular turns; raises CNIError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._regular, work, *given)

    async def _again(
        self, work: Callable[[], None], seconds: float, spread: float = 0.0
    ) -> None:
        """Do `work` for ever; what goes wrong is told when it is new."""
        while not self.member.is_over:
            pause = seconds
            try:
                await self.once(work)
            except CNIError as error:
                if self.member.is_over:  # which is nobody's fault
                    self._tell_new("leave", "this node has left it")
                    return
                self._tell_new(work.__name__, str(error))
                pause = min(seconds, _RETRY)
            else:
                self._tell_new(work.__name__, "")
            part = random.uniform(1 - spread, 1 + spread)  # noqa: S311 - it spreads load
            await asyncio.sleep(pause * part)

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._fail(failure)

    def _tell_new(self, doing: str, text: str) -> None:
        if text != self._told.get(doing, ""):
            self._tell(f"network {self.member.name}: {text or f'{doing}: well again'}")
        self._told[doing] = text
