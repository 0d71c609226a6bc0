# SPDX-License-Identifier: Apache-2.0
"""Numbers that go on from call to call until the next boot: how many calls there were,
how long they took, how they failed.

A file a plugin and verb, each line a key and a number. No call fails for them, and none
waits for long: where a number cannot be written it is lost (docs/metrics.md).
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

# Nobody but root can put anything there, for /run is root's; and it is beside what
# attachments have on record, so that a node where all are gone has no trace of them.
DIRECTORY = "/run/cnipy/counters"
# Seconds: upper bounds of what a call may take to be counted there. They cover a warm
# DEL of host-local as well as an ADD that waits for a DHCP server.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LONGER = "longer"
MICROSECONDS, WITHIN, CODE, OTHER = "microseconds", "within:", "code:", "code:other"
REPAIR, DONE, FAILED = "repair", "done", "failed"
SIZE_MAX = 4096  # bytes, a page: who can write any of it can write all
_KEYS_MAX = 64
_ATTEMPTS, _PAUSE = 100, 0.001  # a holder has it for microseconds, unless it is stopped
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Calls that nobody made, as those by which a child of the warm server gets ready.
_paused: list[None] = []


class Paused:
    """A block in which nothing is counted."""

    def __enter__(self) -> None:
        _paused.append(None)

    def __exit__(self, *_: object) -> None:
        _paused.pop()


def count_call(plugin: str, verb: str, seconds: float, code: int = 0) -> None:
    """Count a call that took so long, and its error unless `code` is 0."""
    within = next((f"{WITHIN}{each}" for each in BOUNDS if seconds <= each), LONGER)
    added = {MICROSECONDS: int(seconds * 1e6), within: 1}
    if code:
        added[f"{CODE}{code}"] = 1
    add(f"{plugin}.{verb}", added)


def count_repair(plugin: str, *, is_done: bool) -> None:
    """Count what an attachment lacked, as put back or as what could not be."""
    add(f"{plugin}.{REPAIR}", {DONE if is_done else FAILED: 1})


def add(name: str, added: Mapping[str, int]) -> None:
    """Add to the numbers in the file `name`, or leave it where that cannot be."""
    if _paused:
        return
    try:
        fd = _opened(os.path.join(DIRECTORY, name))
    except OSError:
        return
    try:
        if _is_locked(fd):
            _add(fd, added)
    except OSError:
        return
    finally:
        os.close(fd)


def read() -> dict[str, dict[str, int]]:
    """Return the numbers of each file; raises OSError."""
    try:
        names = sorted(os.listdir(DIRECTORY))
    except FileNotFoundError:
        return {}
    found = {}
    for name in names:
        fd = os.open(os.path.join(DIRECTORY, name), _FLAGS)
        try:
            _is_locked(fd)  # if not, whoever has it is stopped, and writes nothing
            found[name] = _parsed(os.pread(fd, SIZE_MAX, 0))
        finally:
            os.close(fd)
    return found


def _parsed(text: bytes) -> dict[str, int]:
    """Return the numbers of a file, none of one that is damaged: it begins anew."""
    numbers = {}
    try:
        for line in text.decode().splitlines():
            key, _, number = line.partition(" ")
            numbers[key] = int(number)
    except ValueError:
        return {}
    return numbers


def _add(fd: int, added: Mapping[str, int]) -> None:
    before = os.pread(fd, SIZE_MAX, 0)
    numbers = _parsed(before)
    for key, number in added.items():
        # A delegate may have any code; the file stays as small as it is.
        at = key if key in numbers or len(numbers) < _KEYS_MAX else OTHER
        numbers[at] = numbers.get(at, 0) + number
    text = "".join(f"{key} {number}\n" for key, number in numbers.items()).encode()
    if len(text) < len(before):  # it was damaged; numbers and keys only grow
        os.ftruncate(fd, 0)
    os.pwrite(fd, text, 0)


def _opened(path: str) -> int:
    try:
        return os.open(path, _FLAGS | os.O_CREAT, 0o600)
    except FileNotFoundError:
        pass
    for directory, mode in ((os.path.dirname(DIRECTORY), 0o755), (DIRECTORY, 0o700)):
        try:
            os.mkdir(directory, mode)
        except FileExistsError:
            continue
    return os.open(path, _FLAGS | os.O_CREAT, 0o600)


def _is_locked(fd: int) -> bool:
    """Tell whether the file is this process's for now, soon or never.

    lockf(3), which costs no import; the kernel lets go of it at close and at death.
    """
    for _ in range(_ATTEMPTS):
        try:
            os.lockf(fd, os.F_TLOCK, 0)
        except (BlockingIOError, PermissionError):
            time.sleep(_PAUSE)
        else:
            return True
    return False
