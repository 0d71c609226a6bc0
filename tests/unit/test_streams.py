# SPDX-License-Identifier: Apache-2.0
"""Real descriptors: pipes, closed ends, devices, as a runtime's mishaps leave them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from lab import PATIENCE

from cni_common.frame import streams
from cni_common.spec.errors import CNIError
from cni_common.spec.versions import SUPPORTED

TOP = Path(__file__).parents[2]
START = (
    f"import sys; sys.path[:0] = [{str(TOP)!r}]; sys.argv = ['loopback'];"
    "from launcher.main import run; run(['loopback'])"
)
PLUGIN = [sys.executable, "-I", "-X", "utf8", "-c", START]
CONF = b'{"cniVersion": "1.1.0", "name": "n", "type": "loopback"}'
DEL = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "lo"}
NEWEST = {"cniVersion": "1.1.0", "supportedVersions": list(SUPPORTED)}
Ended = subprocess.CompletedProcess[bytes]


def call(command: str = "VERSION", redirection: str = "", **options: object) -> Ended:
    """Return what the plugin answers as a process, its streams redirected by sh."""
    env = {**DEL, "CNI_COMMAND": command}
    words = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *PLUGIN]
    ended: Ended = subprocess.run(
        words,
        env=env,
        capture_output=True,
        timeout=60 * PATIENCE,
        check=False,
        **options,
    )
    return ended


def answer(ended: Ended) -> tuple[int, object]:
    """Return exit status, and the document or the code of the error."""
    document = json.loads(ended.stdout)
    return ended.returncode, document.get("code", document)


@pytest.mark.parametrize("version", [*SUPPORTED, "9.9.9"])
def test_version_is_that_of_the_input(version: str) -> None:
    """VERSION answers in the version that it was asked in."""
    ended = call(input=json.dumps({"cniVersion": version}).encode())
    assert answer(ended) == (0, {**NEWEST, "cniVersion": version})


@pytest.mark.parametrize("stdin", [b"", b" \n", b"{}", b'{"cniVersion": null}'])
def test_version_without_stated_version_is_the_newest(stdin: bytes) -> None:
    """An input that states none gets our newest version."""
    assert answer(call(input=stdin)) == (0, NEWEST)


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        (b"garbage", 6),
        (b"[]", 6),
        (b'{"cniVersion": 1}', 6),
        (b'{"cniVersion": "1.1.0"', 6),
        (b" " * (1 << 20) + b"{}", 5),
    ],
)
def test_malformed_version_request_is_an_error(
    stdin: bytes, code: int, tmp_path: Path
) -> None:
    """An input that is there and is none is a decode error, a huge one is refused."""
    (tmp_path / "stdin").write_bytes(stdin)
    with (tmp_path / "stdin").open("rb") as file:
        assert answer(call(stdin=file)) == (1, code)


def open_pipe(content: bytes) -> tuple[int, int]:
    """Return a pipe that holds `content` and stays open."""
    reading, writing = os.pipe()
    os.write(writing, content)
    return reading, writing


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"", "1.1.0"),
        (b'{"cniVersion": "0.4.0"}', "0.4.0"),
        (b'{"cniVersion": "0.4.0"', "1.1.0"),
    ],
)
def test_version_never_waits(content: bytes, version: str) -> None:
    """An open pipe is answered at once, by what it holds, if that is a document."""
    pipe = open_pipe(content)
    try:
        ended = call(stdin=pipe[0])
    finally:
        for end in pipe:
            os.close(end)
    assert answer(ended) == (0, {**NEWEST, "cniVersion": version})


def test_other_verbs_wait_for_their_input() -> None:
    """A configuration that comes late, and in parts, is read to its end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write() -> None:
        for part in (CONF[:9], CONF[9:]):
            time.sleep(0.7)
            os.write(writing, part)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ended = call("DEL", stdin=reading)
    finally:
        writer.join()
        os.close(reading)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_write_only_stdin_is_an_io_error() -> None:
    """What cannot be read is code 5 where it is needed, and nothing to VERSION."""
    assert answer(call("DEL", "0>/dev/null")) == (1, 5)
    assert answer(call("VERSION", "0>/dev/null")) == (0, NEWEST)


@pytest.mark.parametrize("redirection", [">/dev/full", "1</dev/null"])
@pytest.mark.parametrize("command", ["VERSION", "FOO"])
def test_stdout_that_takes_nothing_is_status_1(command: str, redirection: str) -> None:
    """Neither 0 nor 120, and no traceback."""
    ended = call(command, redirection, input=b"")
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_reader_that_went_away_is_status_1() -> None:
    """A pipe whose other end is closed is a broken stdout, not a signal."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        PLUGIN,
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_full_stderr_does_not_matter() -> None:
    """The answer is the same where stderr takes nothing."""
    assert call("", "2>/dev/full").returncode == 0
    assert answer(call("FOO", "2>/dev/full")) == (1, 4)


def test_invalid_utf8_in_the_environment_is_refused() -> None:
    """Bytes that are no text come back as an escaped one, in valid JSON."""
    env = {b"CNI_COMMAND": b"DEL", b"CNI_CONTAINERID": b"\xff\xfe", b"CNI_IFNAME": b"l"}
    ended = subprocess.run(
        PLUGIN, env=env, input=CONF, capture_output=True, check=False
    )
    assert answer(ended) == (1, 4)
    assert ended.stdout.isascii()


def test_full_pipe_is_waited_for() -> None:
    """A document larger than a non-blocking pipe holds arrives whole."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    document = {"msg": "x" * 100_000}
    got = bytearray()

    def read() -> None:
        while part := os.read(reading, 5000):
            got.extend(part)
            time.sleep(0.001)

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "wb", buffering=0) as stdout:
        streams.write_document(stdout, document)
    reader.join()
    os.close(reading)
    assert json.loads(got) == document


def write_late(descriptor: int) -> None:
    """Write a text after a while, and end it after another one."""
    time.sleep(0.1)
    os.write(descriptor, b"ab")
    time.sleep(0.1)
    os.close(descriptor)


def test_late_input_is_read_to_its_end() -> None:
    """A non-blocking pipe is waited for; one that fails is an I/O error."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb") as stdin:
        writer = threading.Thread(target=write_late, args=(writing,))
        writer.start()
        assert streams.read_all(stdin) == b"ab"
        writer.join()
    with pytest.raises(CNIError) as raised:
        streams.read_all(stdin)
    assert raised.value.code == 5


def test_only_what_is_there_is_read_at_once() -> None:
    """A pipe gives what it holds, and says whether that was the end."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin:
        assert streams.read_at_once(stdin) == (b"", False)
        os.write(writing, b"ab")
        assert streams.read_at_once(stdin) == (b"ab", False)
        os.write(writing, b"c")
        os.close(writing)
        assert streams.read_at_once(stdin) == (b"c", True)
    with open(os.devnull, "wb") as stdin:
        assert streams.read_at_once(stdin) == (b"", False)


def test_huge_input_is_refused_at_once(tmp_path: Path) -> None:
    """More than 1 MiB is refused as soon as it is seen."""
    (tmp_path / "stdin").write_bytes(b" " * (streams.STDIN_MAX + 1))
    with (tmp_path / "stdin").open("rb") as stdin, pytest.raises(CNIError) as raised:
        streams.read_at_once(stdin)
    assert raised.value.code == 5
