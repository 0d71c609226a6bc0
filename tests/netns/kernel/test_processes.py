# SPDX-License-Identifier: Apache-2.0
"""Processes that are held by a descriptor: what is said of them, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import need
from warm_server import wait_until

from cni_common.kernel import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host, Space


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing for a minute."""
    with subprocess.Popen([need("sleep"), "60"]) as started:
        # Popen returns in the midst of execve(2), which sets the arguments last.
        wait_until(Path(f"/proc/{started.pid}/cmdline").read_bytes)
        yield started
        started.kill()


def test_living_process_is_known(sleeper: subprocess.Popen[bytes]) -> None:
    """Its arguments and its namespace are those that it was started with."""
    assert sleeper.pid in processes.numbers()
    with processes.opened(sleeper.pid) as process:
        assert process is not None
        assert process.is_alive()
        assert process.arguments()[1:] == ["60"]
        assert process.is_in_our_netns()


def test_process_elsewhere_is_told(
    host: Host, container: Space, sleeper: subprocess.Popen[bytes]
) -> None:
    """A process of another network namespace is not in ours."""
    del host
    with container.entered(), processes.opened(sleeper.pid) as process:
        assert process is not None
        assert not process.is_in_our_netns()


def test_ended_process_says_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    """One that ended while it was held is dead, and signals to it go nowhere."""
    with processes.opened(sleeper.pid) as process:
        assert process is not None
        process.end(5)
        assert not process.is_alive()
        assert sleeper.wait() == -signal.SIGTERM
        process.send(signal.SIGTERM)
        assert process.arguments() == []
        assert not process.is_in_our_netns()


def test_stubborn_process_is_killed() -> None:
    """What does not obey SIGTERM is killed when the patience is over."""
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    words = [need("sh"), "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        with processes.opened(started.pid) as process:
            assert process is not None
            process.end(0.05)
        assert started.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", (0, -1, 1 << 22, 1 << 40))
def test_number_of_no_process(number: int) -> None:
    """A number that no process has opens nothing."""
    with processes.opened(number) as process:
        assert process is None
    assert os.getpid() in processes.numbers()
