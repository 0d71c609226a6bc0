# SPDX-License-Identifier: Apache-2.0
"""What the plugin asks of the agent, by a real socket."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE
from pool_agent import agent

from cni_common.pool import asking, held
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLS = {"10.64.0.0/16": 26}


def refused(seconds: float = 2) -> CNIError:
    with pytest.raises(CNIError) as caught:
        asking.for_block("apps", 4, 0, seconds=seconds)
    assert caught.value.code == Code.TRY_AGAIN_LATER
    return caught.value


def blocks() -> list[str]:
    found = held.read("apps")
    return [str(block) for block in found.blocks] if found else []


def test_a_block_is_there_when_the_answer_is() -> None:
    """Who saw fewer blocks than there are has none claimed."""
    with agent("apps", POOLS) as server:
        asking.for_block("apps", 4, 0, seconds=5)
        assert blocks() == ["10.64.0.0/26"]
        asking.for_block("apps", 4, 0, seconds=5)
        assert blocks() == ["10.64.0.0/26"]
        asking.for_block("apps", 4, 1, seconds=5)
        assert blocks() == ["10.64.0.0/26", "10.64.0.64/26"]
        assert server.asked[-1] == {
            "ask": "block",
            "network": "apps",
            "family": 4,
            "held": 1,
            "seconds": 5,
        }


def test_who_does_not_wait_is_answered_by_the_file() -> None:
    """The line is sent and the connection closed; the block comes."""
    with agent("apps", POOLS):
        assert asking.without_waiting("apps", 4, 0) == ""
        until = time.monotonic() + 5 * PATIENCE
        while not blocks() and time.monotonic() < until:
            time.sleep(0.01)
        assert blocks() == ["10.64.0.0/26"]


def test_a_refusal_has_the_agents_words() -> None:
    """The reason why there is no block is what an administrator needs."""
    with agent("apps", POOLS) as server:
        server.refusal = '{"error": {"code": 11, "msg": "claim: away", "details": "x"}}'
        error = refused()
    assert (error.msg, error.details) == ("claim: away", "x")


@pytest.mark.parametrize(
    "answer", ["", "null", "{", '{"blocks": ["x"]}', '{"error": 5}', '{"error": {}}']
)
def test_an_answer_that_is_none_is_refused(answer: str) -> None:
    """Nothing of it is believed."""
    with agent("apps", POOLS) as server:
        server.refusal = answer
        assert "its answer is none" in refused().msg


def test_without_an_agent_the_way_out_is_told() -> None:
    """Absent, or nobody behind the socket."""
    assert "systemctl start cnipy-net" in refused().details
    assert "no such file" in asking.without_waiting("apps", 4, 0)
    Path(asking.SOCKET).parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(asking.SOCKET)
    assert "refused" in refused().msg
    assert "refused" in asking.without_waiting("apps", 4, 0)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """One that listens, and never answers."""
    Path(asking.SOCKET).parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(asking.SOCKET)
        listener.listen(0)
        yield listener


@pytest.mark.usefixtures("silent")
def test_nobody_is_waited_for_longer_than_said() -> None:
    """An agent that hangs, and one whose queue is full."""
    began = time.monotonic()
    told = refused(0.2)
    assert "did not answer within 0.2 s" in told.msg
    assert "net status" in told.details
    assert "start" not in told.details
    for _ in range(4):
        asking.without_waiting("apps", 4, 0)
    assert "unavailable" in asking.without_waiting("apps", 4, 0)
    assert time.monotonic() - began < 2 * PATIENCE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_another_user_is_not_asked() -> None:
    """Who made the socket is not necessarily who listens there."""
    Path(asking.SOCKET).parent.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(asking.SOCKET)
    pid = os.fork()
    if pid == 0:
        os.setuid(1000)
        listener.listen(1)
        os.read(0, 0)
        time.sleep(30)
        os._exit(0)
    try:
        until = time.monotonic() + 5 * PATIENCE
        while "1000" not in (told := asking.without_waiting("apps", 4, 0)):
            assert time.monotonic() < until, told
            time.sleep(0.01)
        assert "user 1000 listens there" in refused().msg
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        listener.close()
