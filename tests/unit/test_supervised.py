# SPDX-License-Identifier: Apache-2.0
"""The watching of system calls, on which the fault walk stands."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import supervised

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from system_calls import Call


def test_refused_call_fails_with_the_chosen_error(tmp_path: Path) -> None:
    """The process sees the error, and the call is not made."""
    room = tmp_path / "room"

    def act() -> bytes:
        try:
            room.mkdir()
        except OSError as error:
            return str(error.errno).encode()
        return b""

    def decide(_: int, call: Call) -> supervised.Verdict:
        return errno.EROFS if call.what == str(room) else None

    ended = supervised.run(act, decide)
    assert (ended.status, ended.output) == (0, str(errno.EROFS).encode())
    assert not room.exists()


def test_kill_is_told_from_a_death_of_its_own(tmp_path: Path) -> None:
    """Only a process that was killed here is said to be."""

    def act() -> bytes:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        (tmp_path / "room").mkdir()
        signal.raise_signal(signal.SIGTERM)
        return b""

    killed = supervised.run(act, lambda *_: supervised.KILL)
    assert (killed.status, killed.is_killed) == (-signal.SIGKILL, True)
    assert not (tmp_path / "room").exists()
    died = supervised.run(act, lambda *_: None)
    assert (died.status, died.is_killed) == (-signal.SIGTERM, False)


def test_program_whose_start_is_the_last_call_does_not_start(tmp_path: Path) -> None:
    """Nor does it wait for an answer that never comes."""

    def act() -> bytes:
        subprocess.run(["/bin/mkdir", str(tmp_path / "room")], check=False)
        return b""

    def decide(_: int, call: Call) -> supervised.Verdict:
        return supervised.KILL if call.name == "execve" else None

    ended = supervised.run(act, decide)
    assert ended.is_killed
    assert any(call.name == "execve" for call in ended.calls)
    assert not (tmp_path / "room").exists()


def test_what_goes_on_holds_nothing_of_ours_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who reads what the tests write sees its end, though a daemon still runs."""
    monkeypatch.setattr(supervised, "_QUIET", 1)
    reader, writer = os.pipe()

    def act() -> bytes:
        daemon = os.fork()
        if daemon == 0:
            os.close(writer)
            signal.pause()
        return str(daemon).encode()

    daemon = int(supervised.run(act, lambda *_: None).output)
    try:
        os.close(writer)
        with open(reader, "rb") as pipe:
            assert pipe.read() == b""
    finally:
        os.kill(daemon, signal.SIGKILL)
