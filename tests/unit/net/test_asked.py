# SPDX-License-Identifier: Apache-2.0
"""Plugins that ask for blocks while the store hangs."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from cni_common.pool import held
from cni_common.pool.held import Held
from cni_common.spec.errors import CNIError, Code
from cnipy.net.agent.asked import Asked

if TYPE_CHECKING:
    from pathlib import Path

POOL, BLOCK = ip_network("10.64.0.0/16"), ip_network("10.64.0.0/26")
QUEUED = 20


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the agent writes, which is the test's own."""
    monkeypatch.setattr(held, "ROOT", str(tmp_path / "net"))


class Hanging:
    """A member of a network whose store answers nothing, until it is well again."""

    name = "apps"

    def __init__(self) -> None:
        self.questions, self.is_well = 0, False
        self.deadline = threading.Event()

    def more(self, version: int, seen: int) -> tuple[object, ...]:
        """Claim a block, as far as the store goes."""
        del version, seen
        self.questions += 1
        self.deadline.wait()
        if not self.is_well:
            raise CNIError(Code.TRY_AGAIN_LATER, "claim: the store is away", "why")
        return (BLOCK,)


async def _queued(asked: Asked, member: Hanging) -> list[object]:
    waiting = [asyncio.create_task(asked.more(4, 0)) for _ in range(QUEUED)]
    await asyncio.sleep(0)
    member.deadline.set()
    return await asyncio.gather(*waiting, return_exceptions=True)


def test_one_that_fails_answers_all_who_waited_for_it() -> None:
    """By its own reason; who asks later is a question to the store again."""

    async def run() -> None:
        member = Hanging()
        asked = Asked(member)  # type: ignore[arg-type]
        failures = await _queued(asked, member)
        assert {str(each) for each in failures} == {
            str(CNIError(Code.TRY_AGAIN_LATER, "claim: the store is away", "why"))
        }
        assert member.questions == 1
        with pytest.raises(CNIError, match="the store is away"):
            await asked.more(4, 0)
        assert member.questions == 2
        member.is_well = True
        assert await asked.more(4, 0) == (BLOCK,)
        asked.end()

    asyncio.run(run())


def test_a_block_that_is_there_is_an_answer_all_the_same() -> None:
    """What the file has by now needs no store."""

    async def run() -> None:
        member = Hanging()
        asked = Asked(member)  # type: ignore[arg-type]
        await _queued(asked, member)
        held.write("apps", Held((POOL,), (BLOCK,), ()))
        assert await asked.more(4, 0) == (BLOCK,)
        assert member.questions == 1
        asked.end()

    asyncio.run(run())
