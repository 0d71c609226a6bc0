# SPDX-License-Identifier: Apache-2.0
"""Processes that we did not start ourselves, told apart for certain (pidfd_open(2)).

A number can pass to another process at any time. A descriptor stays with one process,
so what is found out while it is open is true of the process that gets the signal.
It is sent without the module `signal`, whose enumerations are dear to import.
"""

from __future__ import annotations

import errno
import os
import select
from _signal import pidfd_send_signal  # type: ignore[import-not-found]  # no stub
from contextlib import contextmanager

from cni_common.kernel import netns_identity
from cni_common.spec.errors import is_absence, of_os
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

SIGHUP = 1
_SIGKILL, _SIGTERM = 9, 15


@dataclass(frozen=True)
class Process:
    """A process, and the descriptor by which it is held."""

    pid: int
    fd: int

    def is_alive(self) -> bool:
        """Tell whether it has not ended; one that nobody waited for has."""
        return not self.wait_end(0)

    def arguments(self) -> list[str]:
        """Return its command line; of one that has ended it is empty."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                return os.fsdecode(file.read()).split("\0")[:-1]
        except OSError as error:
            if is_absence(error):
                return []
            raise of_os(f"look at process {self.pid}", error) from error

    def name(self) -> str:
        """Return what ps(1) calls it; of one that has ended it is empty."""
        try:
            with open(f"/proc/{self.pid}/comm", "rb") as file:
                return os.fsdecode(file.read()).rstrip("\n")
        except OSError:
            return ""

    def mount_namespace(self) -> str:
        """Return which mount namespace it has; of one that has ended it is empty."""
        return _target(f"/proc/{self.pid}/ns/mnt")

    def mounted(self) -> list[tuple[str, str, str]]:
        """Return of each mount below its root the file system, by its device numbers,
        what it shows of that, and where.

        What was removed since ends with "//deleted" (proc(5)). Of a process that has
        ended it is empty.
        """
        try:
            with open(f"/proc/{self.pid}/mountinfo", "rb") as file:
                lines = [os.fsdecode(line).split() for line in file]
        except OSError:
            return []
        return [(fields[2], fields[3], fields[4]) for fields in lines]

    def has_socket(self, inode: int) -> bool:
        """Tell whether it has the socket open."""
        directory = f"/proc/{self.pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError:
            return False
        return any(_target(f"{directory}/{n}") == f"socket:[{inode}]" for n in names)

    def is_in_our_netns(self) -> bool:
        """Tell whether it works in the calling thread's network namespace.

        Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER when it cannot be told.
        """
        return netns_identity.is_own(f"/proc/{self.pid}/ns/net")

    def send(self, number: int) -> None:
        """Send a signal; to one that has ended it is nothing.

        Raises Code.IO_FAILURE.
        """
        try:
            pidfd_send_signal(self.fd, number)
        except ProcessLookupError:
            return
        except OSError as error:
            raise of_os(f"send signal {number} to process {self.pid}", error) from error

    def wait_end(self, seconds: float) -> bool:
        """Wait until it ends, for `seconds` at most; tell whether it has ended."""
        ready = select.poll()
        ready.register(self.fd, select.POLLIN)
        return bool(ready.poll(seconds * 1000))

    def end(self, seconds: float) -> None:
        """End it by SIGTERM, and by SIGKILL if that takes over `seconds`."""
        self.send(_SIGTERM)
        if not self.wait_end(seconds):
            self.send(_SIGKILL)
            self.wait_end(seconds)


def numbers() -> list[int]:
    """Return the numbers of all processes that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent(number: int) -> int:
    """Return the number of the process that started this one; 0 when it has ended."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


@contextmanager
def opened(pid: int) -> Iterator[Process | None]:
    """Yield the process that has the number `pid` now, or None when there is none.

    Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER when it cannot be told.
    """
    try:
        fd = os.pidfd_open(pid)
    except OverflowError:
        fd = -1
    except OSError as error:
        if error.errno not in {errno.ESRCH, errno.EINVAL}:
            raise of_os(f"open process {pid}", error) from error
        fd = -1
    if fd < 0:
        yield None
        return
    try:
        yield Process(pid, fd)
    finally:
        os.close(fd)
