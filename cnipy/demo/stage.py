# SPDX-License-Identifier: Apache-2.0
"""Where the demonstration takes place: namespaces of its own that end with it.

The network, mount and process namespaces are new; /run and /var/lib are empty file
systems in memory, but for the plugins and the code that runs. When the first process of
the namespace ends, the kernel ends the others and takes everything back.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from cni_common.frame.execute import execute
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1
EXAMPLE = "22-podman-created.conflist"

_libc = ctypes.CDLL(None, use_errno=True)


def example() -> str:
    """Return the path of the example list, packed or in a checkout."""
    here = os.path.dirname(os.path.abspath(__file__))
    packed = os.path.join(os.path.dirname(here), "examples", EXAMPLE)
    if os.path.exists(packed):
        return packed
    return os.path.join(here, "..", "..", "conf-examples", EXAMPLE)


def play(scene: Callable[[], int], kept: Iterable[str]) -> int:
    """Return what `scene` returns when it is called inside new namespaces.

    The directories `kept` are seen there, wherever they are.
    """
    sys.stdout.flush()
    _call("unshare", CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET)
    child = os.fork()
    if child == 0:
        os._exit(_inside(scene, kept))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        os.kill(child, signal.SIGKILL)
        return 1


def ip(*words: str) -> str:
    """Return what iproute2 prints; raises CNIError when it fails."""
    return tool("ip", *words)


def tool(*command: str) -> str:
    """Return what a command prints; raises CNIError when it fails."""
    try:
        status, stdout, stderr = execute(command, b"", os.environ)
    except OSError as error:
        msg = f"execute {command[0]}: {error.strerror}"
        raise CNIError(Code.INTERNAL, msg) from error
    if status != 0:
        msg = f"execute {' '.join(command)}: {stderr.decode().strip()}"
        raise CNIError(Code.INTERNAL, msg)
    return stdout.decode()


def _code() -> str:
    """Return the directory that this code is imported from: a tree, or a checkout."""
    top = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    return os.path.dirname(top) if os.path.basename(top) == "site-packages" else top


def _inside(scene: Callable[[], int], kept: Iterable[str]) -> int:
    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        _call("mount", b"proc", b"/proc", b"proc", 0, None)
        there = [
            (path, os.open(path, os.O_PATH))
            for path in (_code(), *kept)
            if os.path.isdir(path)
        ]
        for path in (b"/run", b"/var/lib"):
            _call("mount", b"tmpfs", path, b"tmpfs", 0, b"mode=0755")
        for hidden, opened in there:
            _show(hidden, opened)
        ip("link", "set", "lo", "up")
        return scene()
    except (CNIError, OSError) as error:
        sys.stderr.write(f"cnipy: demo: {error}\n")
    except Exception:  # noqa: BLE001 - this process must not run on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


def _show(path: str, opened: int) -> None:
    if not os.path.exists(path):
        os.makedirs(path)
        source = os.fsencode(f"/proc/self/fd/{opened}")
        _call("mount", source, os.fsencode(path), None, MS_BIND, None)
    os.close(opened)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        msg = f"{name} for the demo: {os.strerror(number).lower()}"
        hint = "root is needed" if os.geteuid() else ""
        raise CNIError(Code.INTERNAL, msg, hint)
