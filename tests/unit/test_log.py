# SPDX-License-Identifier: Apache-2.0
"""The call's own log: one JSON line a call where it is asked for, else nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest
from protocol import Probe, call, text

from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log as documents."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_call_is_one_line(tmp_path: Path) -> None:
    """A line says when, what, how it ended and how long each step took."""
    log = tmp_path / "log"
    call(Probe(), stdin=text(logFile=str(log)))
    (line,) = lines(log)
    assert {key: line[key] for key in line if key not in {"time", "ms", "steps"}} == {
        "plugin": "probe",
        "command": "ADD",
        "network": "n",
        "containerID": "c1",
        "ifname": "eth0",
        "outcome": "ok",
    }
    assert line["time"].endswith("Z")
    assert set(line["steps"]) == {"configuration"}
    assert line["ms"] >= line["steps"]["configuration"] >= 0


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    """The file is created with mode 0600, and lines of earlier calls stay."""
    log = tmp_path / "log"
    old = os.umask(0)
    try:
        for command in ("ADD", "DEL"):
            call(Probe(), command, text(logFile=str(log)))
    finally:
        os.umask(old)
    assert [line["command"] for line in lines(log)] == ["ADD", "DEL"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_nothing_is_written_by_default(tmp_path: Path) -> None:
    """Without logFile, or with an empty one, no file appears and nothing is said."""
    for stdin in (text(), text(logFile=""), text(logFile=None)):
        assert call(Probe(), stdin=stdin).stderr == ""
    assert os.listdir(tmp_path) == []


def test_failure_is_the_outcome(tmp_path: Path) -> None:
    """An error is in the line with its message, an unforeseen one with traceback."""
    log = tmp_path / "log"
    call(Probe(failure=CNIError(107, "m", "d")), stdin=text(logFile=str(log)))
    call(Probe(failure=ZeroDivisionError("x")), stdin=text(logFile=str(log)))
    foreseen, unforeseen = lines(log)
    assert foreseen["outcome"] == "m: d"
    assert foreseen["events"] == [{"level": "error", "text": "m: d"}]
    assert unforeseen["outcome"] == "x"
    assert unforeseen["events"][1]["text"].startswith("Traceback")


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["warning", "debug"]),
        ("info", ["warning"]),
        ("warning", ["warning"]),
        ("error", []),
    ],
)
def test_level_chooses_the_events(tmp_path: Path, level: str, seen: list[str]) -> None:
    """A level shows its own events and graver ones; below info, only lines with any."""
    log = tmp_path / "log"
    stdin = text(logFile=str(log), logLevel=level, mtu="x", typo=1)
    assert call(Probe(), "DEL", stdin).status == 0
    found = lines(log) if log.exists() else []
    events = [event["level"] for line in found for event in line.get("events", [])]
    assert sorted(events) == sorted(seen)
    assert len(found) == (level != "error")
    assert all(("steps" in line) == (level in {"info", "debug"}) for line in found)


def test_unknown_key_is_named_at_debug_level(tmp_path: Path) -> None:
    """A misspelled key can be found in the log."""
    log = tmp_path / "log"
    call(Probe(), stdin=text(logFile=str(log), logLevel="debug", isGatway=True))
    (line,) = lines(log)
    cause = "unknown key 'isGatway' in the network configuration"
    assert line["events"] == [{"level": "debug", "text": cause}]


def refusal(path: str) -> str:
    """Return what stderr says of a log that cannot be written; the call succeeds."""
    answer = call(Probe(), stdin=text(logFile=path))
    assert answer.status == 0
    return answer.stderr


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """A link that somebody put there is neither followed nor replaced."""
    (tmp_path / "log").symlink_to(tmp_path / "target")
    assert "too many levels of symbolic links" in refusal(f"{tmp_path}/log")
    assert not (tmp_path / "target").exists()


def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    """Pipes nobody reads, sockets, directories and devices do not hang the call."""
    os.mkfifo(tmp_path / "pipe")
    assert "no such device or address" in refusal(f"{tmp_path}/pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert "not a regular file" in refusal(f"{tmp_path}/pipe")
    os.close(reader)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/socket")
        assert "no such device or address" in refusal(f"{tmp_path}/socket")
    assert "is a directory" in refusal(str(tmp_path))
    assert "not a regular file" in refusal("/dev/null")


def hard_link(tmp_path: Path) -> Path:
    """Return a second name of a file."""
    (tmp_path / "victim").write_text("")
    os.link(tmp_path / "victim", tmp_path / "log")
    return tmp_path / "log"


def foreign(tmp_path: Path) -> Path:
    """Return another user's file."""
    (tmp_path / "log").write_text("")
    os.chown(tmp_path / "log", 12345, 12345)
    return tmp_path / "log"


def in_everybodys(tmp_path: Path) -> Path:
    """Return a path in a directory such as /tmp."""
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o1777)
    return tmp_path / "all/log"


def below_exchangeable(tmp_path: Path) -> Path:
    """Return a path below a directory that everybody can put another one for."""
    (tmp_path / "all/own").mkdir(parents=True)
    (tmp_path / "all").chmod(0o777)
    return tmp_path / "all/own/log"


def behind_placed_link(tmp_path: Path) -> Path:
    """Return a path that leads through a link where everybody could place one."""
    (tmp_path / "target").mkdir()
    (tmp_path / "all").mkdir()
    (tmp_path / "all/link").symlink_to(tmp_path / "target")
    (tmp_path / "all").chmod(0o1777)
    return tmp_path / "all/link/log"


def in_foreign_directory(tmp_path: Path) -> Path:
    """Return a path in another user's directory."""
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    return tmp_path / "theirs/log"


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (hard_link, "it has a second name"),
        (foreign, "it belongs to somebody else"),
        (in_everybodys, "its directory is writable by everybody"),
        (below_exchangeable, "'own' lies in a directory in which everybody may"),
        (behind_placed_link, "'link' is a link that others could have placed"),
        (in_foreign_directory, "'theirs' belongs to somebody else"),
    ],
)
def test_what_others_could_have_placed_is_not_written_to(
    tmp_path: Path, make: Callable[[Path], Path], cause: str
) -> None:
    """It is refused and told, whatever it leads to stays empty, the call goes on."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    assert cause in refusal(str(make(tmp_path)))
    for directory, _, names in os.walk(tmp_path):
        assert all(os.path.getsize(os.path.join(directory, n)) == 0 for n in names)


def test_link_of_root_is_followed(tmp_path: Path) -> None:
    """A directory that an administrator moved elsewhere, as /var/run on most hosts."""
    (tmp_path / "disk/logs").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/relative").symlink_to("../disk/./logs")
    assert refusal(f"{tmp_path}/absolute//relative/log") == ""
    assert len(lines(tmp_path / "disk/logs/log")) == 1


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("log", "not an absolute path"),
        ("../log", "not an absolute path"),
        ("/nowhere/log", "no such file or directory"),
        ("/var/a\0b", "embedded null"),
        ("/" + "x" * 5000, "file name too long"),
    ],
)
def test_bad_path_is_told_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, cause: str
) -> None:
    """A log that cannot be written is told on stderr; the call goes on."""
    monkeypatch.chdir(tmp_path)
    assert cause in refusal(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"logFile": 7}, "write log 7: not an absolute path"),
        ({"logFile": False}, "write log False: not an absolute path"),
        ({"logLevel": ""}, ""),
        ({"logLevel": "verbose"}, ""),
        ({"logFile": "/nowhere/x", "logLevel": ["x"]}, "info is taken"),
    ],
)
def test_broken_log_stops_nothing(verb: str, keys: dict[str, Any], told: str) -> None:
    """Neither a wrong type nor a wrong level costs a container its start or its end."""
    answer = call(Probe(), verb, text(**keys))
    assert answer.status == 0
    assert told in answer.stderr
    assert told or not answer.stderr


def test_level_of_other_suites(tmp_path: Path) -> None:
    """A level in capitals is known, one that is none counts as info and is told."""
    log = tmp_path / "log"
    stdin = text(logFile=str(log), logLevel="Debug", typo=1)
    assert call(Probe(), stdin=stdin).stderr == ""
    assert lines(log)[-1]["events"][0]["level"] == "debug"
    stderr = call(Probe(), stdin=text(logFile=str(log), logLevel="verbose")).stderr
    known = "error, warning, info, debug"
    assert stderr == f"logLevel 'verbose' is none of {known}: info is taken\n"
