# SPDX-License-Identifier: Apache-2.0
"""A process about whose system calls another one decides (seccomp_unotify(2)).

Nothing of what runs inside is replaced, so that whatever acts on the host passes here:
Python's own files and sockets, those of libnftables, threads, the start of programs.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import select
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab import lacking
from system_calls import MACHINE, NAMES, NUMBERS, Call, Task, calls

if TYPE_CHECKING:
    from collections.abc import Callable

# linux/seccomp.h, linux/bpf_common.h
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_VERDICT = struct.Struct("=QqiI")
_QUIET = 50  # milliseconds after which what still runs is a daemon

_SET_DEATH_SIGNAL = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)
_followers: set[int] = set()


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


KILL = "kill"
Verdict = int | str | None
"""What becomes of a call: None, it is made; a number, the error; or KILL."""


@dataclass
class Supervised:
    """What `run` found."""

    status: int
    output: bytes
    is_killed: bool
    calls: list[Call] = field(default_factory=list)


def run(act: Callable[[], bytes], decide: Callable[[int, Call], Verdict]) -> Supervised:
    """Run `act` in a process of its own; `decide` tells what becomes of each call.

    It gets the number of the call, from 1, and the call. What the process leaves
    running goes on undisturbed.
    """
    if not NUMBERS:
        lacking(f"system calls of {platform.machine()} are not known")
    _reap()
    shared = mmap.mmap(-1, 8)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            shared[:4] = struct.pack("=i", _listener())
            os.write(writer, act())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    pidfd = os.pidfd_open(child)
    try:
        listener = _taken(pidfd, shared)
        watch = _Watch(listener, child, pidfd, decide)
        status = watch.serve()
        watch.leave()
        # At once: what is left running may have the other end open.
        output = os.read(reader, 1 << 16) if not status else b""
        return Supervised(status, output, watch.is_killed, watch.seen)
    finally:
        os.close(reader)
        os.close(pidfd)


class _Watch:
    """Serves the listener of one process."""

    def __init__(
        self,
        listener: int,
        child: int,
        pidfd: int,
        decide: Callable[[int, Call], Verdict],
    ) -> None:
        self.listener, self.child, self.pidfd = listener, child, pidfd
        self.decide = decide
        self.task = Task(child, pidfd)
        self.seen: list[Call] = []
        self.started: set[int] = set()
        self.is_killed = False

    def serve(self) -> int:
        """Decide until the process has ended; return how it did."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(self.pidfd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(self.listener, 0) & select.POLLIN:
                self._answer()
            elif self.pidfd in ready:
                self.task.close()
                return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def leave(self) -> None:
        """Let pass what others still do, and have a process see to those that stay."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while ready := poll.poll(_QUIET):
            if ready[0][1] & select.POLLHUP:
                os.close(self.listener)
                return
            _pass(self.listener)
        parent = os.getpid()
        follower = os.fork()
        if follower == 0:
            try:
                _see_to(self.listener, parent)
            finally:
                os._exit(0)
        _followers.add(follower)
        os.close(self.listener)

    def _answer(self) -> None:
        notice = _received(self.listener)
        if notice is None:
            return
        number, pid, _, call, _, _, *arguments = notice
        name = NAMES[call]
        if self.is_killed or not self._is_ours(pid, name):
            _reply(self.listener, number)
            return
        try:
            found = calls(self.task, name, arguments)
        except OSError:  # it has been killed meanwhile
            found = []
        for each in found:
            self.seen.append(each)
            verdict = self.decide(len(self.seen), each)
            if verdict == KILL:
                self.is_killed = True
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
                if pid in self.started:  # and would wait for ever for an answer
                    _reply(self.listener, number, error=errno.EPERM)
                return
            if isinstance(verdict, int) and each.refuse is None:
                _reply(self.listener, number, error=verdict)
                return
            if isinstance(verdict, int) and each.refuse is not None:
                each.refuse(verdict)
        answer = self.task.answered(name, arguments)
        _reply(self.listener, number, value=answer)

    def _is_ours(self, pid: int, name: str) -> bool:
        """Tell whether a call is one of the process, or starts a program for it."""
        if pid == self.child or os.path.exists(f"/proc/{self.child}/task/{pid}"):
            return True
        if name != "execve" or pid in self.started:
            return False
        self.started.add(pid)
        return True


def _see_to(listener: int, parent: int) -> None:
    """Let pass what others do until they end, or `parent`; hold nothing else of it.

    Who reads what the tests write waits until nobody has it open any more.
    """
    _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        return
    os.dup2(listener, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    poll = select.poll()
    poll.register(3, select.POLLIN)
    while not poll.poll()[0][1] & select.POLLHUP:
        _pass(3)


def _reap() -> None:
    """Take note of the end of those that had nobody left to see to."""
    for follower in list(_followers):
        if os.waitpid(follower, os.WNOHANG)[0]:
            _followers.remove(follower)


def _pass(listener: int) -> None:
    notice = _received(listener)
    if notice is not None:
        _reply(listener, notice[0])


def _received(listener: int) -> tuple[int, ...] | None:
    buffer = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError as error:
        if error.errno != errno.ENOENT:  # who made the call is gone
            raise
        return None
    return _NOTICE.unpack(buffer)


def _reply(
    listener: int, number: int, *, error: int = 0, value: int | None = None
) -> None:
    flags = 0 if error or value is not None else _CONTINUE
    verdict = _VERDICT.pack(number, value or 0, -error, flags)
    try:
        fcntl.ioctl(listener, _SEND, bytearray(verdict))
    except OSError as failure:
        if failure.errno != errno.ENOENT:
            raise


def _taken(pidfd: int, shared: mmap.mmap) -> int:
    """Return our descriptor of the listener that the process has made."""
    while True:
        (number,) = struct.unpack("=i", shared[:4])
        if number < 0:
            lacking(f"seccomp: {os.strerror(-number)}")
        if number:
            break
        if select.select([pidfd], [], [], 0.0002)[0]:
            raise ChildProcessError(errno.ECHILD, "ended before it could be watched")
    listener = _libc.syscall(NUMBERS["pidfd_getfd"], pidfd, number, 0)
    if listener < 0:
        lacking(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    with suppress(OSError):  # since Linux 6.6: answers wake the process at once
        fcntl.ioctl(listener, _SET_FLAGS, 1)
    return int(listener)


def _listener() -> int:
    """Have this process ask before each call that matters; return whom it asks.

    Raises nothing; what is negative is the error.
    """
    numbers = sorted(NAMES)
    code = struct.pack("=HBBI", _LOAD, 0, 0, 4)
    code += struct.pack("=HBBI", _EQUAL, 1, 0, MACHINE)
    code += struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW)
    code += struct.pack("=HBBI", _LOAD, 0, 0, 0)
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        code += struct.pack("=HBBI", _EQUAL, left, 0, number)
    code += struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW)
    code += struct.pack("=HBBI", _RETURN, 0, 0, _NOTIFY)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    arguments = (_SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))
    listener = _libc.syscall(NUMBERS["seccomp"], *arguments)
    return int(listener) if listener >= 0 else -ctypes.get_errno()
