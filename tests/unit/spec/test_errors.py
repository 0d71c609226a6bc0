# SPDX-License-Identifier: Apache-2.0
"""The error object: as short and as plain as a log can bear."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from cni_common.spec.errors import CNIError, is_absence, of_os


def test_short_texts_are_as_they_were_raised() -> None:
    """Nothing is cut or replaced in what is short and printable."""
    msg, details = "parse mtu: größer als 65535", "first\n\tsecond"
    assert CNIError(7, msg, details).document("1.1.0") == {
        "cniVersion": "1.1.0",
        "code": 7,
        "msg": msg,
        "details": details,
    }


def test_long_value_is_cut() -> None:
    """Beginning, length and cause of a message with a value of 70 kB remain."""
    value = "A" * 70_000
    error = CNIError(7, f"parse bridge: '{value}' is no name", value)
    document = error.document("1.1.0")
    msg, details = str(document["msg"]), str(document["details"])
    assert msg.startswith("parse bridge: 'AAA")
    assert msg.endswith("AAA' is no name")
    assert "(70027 characters)" in msg
    assert len(msg) < 700
    assert len(details) < 4100
    assert len(str(error)) < 5000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202etxt", r"\u202etxt"),
        ("\udcff", r"\udcff"),
        ("\0", r"\x00"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    """No value ends a line of a log, or changes how the rest of it looks."""
    assert CNIError(7, f"parse {text}").document("1.1.0")["msg"] == f"parse {shown}"


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EMFILE, 11), (errno.ENOMEM, 11), (errno.EIO, 5), (errno.ENOSPC, 5)],
)
def test_code_says_whether_a_retry_may_help(number: int, code: int) -> None:
    """Code 11 is for what the next call may not meet any more."""
    assert of_os("read x", OSError(number, "Cause")).code == code


def test_process_that_has_ended_is_absent() -> None:
    """What /proc has of a process that ended meanwhile is absent, not unreadable."""
    child = subprocess.Popen(["sleep", "60"])
    fd = os.open(f"/proc/{child.pid}/cmdline", os.O_RDONLY)
    try:
        child.kill()
        child.wait()
        with pytest.raises(OSError, match="No such process") as found:
            os.read(fd, 1)
    finally:
        os.close(fd)
    assert is_absence(found.value)
