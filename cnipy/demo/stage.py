# SPDX-License-Identifier: Apache-2.0
"""Where the demonstration takes place: namespaces of its own that end with it.

The network, mount and process namespaces are new; /run and /var/lib are empty file
systems in memory. When the first process of the namespace ends, the kernel ends the
others and takes everything back.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from cni_common.execute import execute
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
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


def play(scene: Callable[[], int]) -> int:
    """Return what `scene` returns when it is called inside new namespaces."""
    sys.stdout.flush()
    _call("unshare", CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET)
    child = os.fork()
    if child == 0:
        os._exit(_inside(scene))
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


def _inside(scene: Callable[[], int]) -> int:
    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        _call("mount", b"proc", b"/proc", b"proc", 0, None)
        for path in (b"/run", b"/var/lib"):
            _call("mount", b"tmpfs", path, b"tmpfs", 0, b"mode=0755")
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


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        msg = f"{name} for the demo: {os.strerror(number).lower()}"
        hint = "root is needed" if os.geteuid() else ""
        raise CNIError(Code.INTERNAL, msg, hint)
