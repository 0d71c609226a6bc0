# SPDX-License-Identifier: Apache-2.0
"""The units of the warm server that install wrote for systemd."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.execute import execute
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = "/etc/systemd/system"
SOCKET, SERVICE = "cnipy-warm.socket", "cnipy-warm.service"
_RUNNING = "/run/systemd/system"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def remove(unit_dir: str, bin_dir: str, tell: Callable[[str], object]) -> None:
    """Remove both units from `unit_dir` if they are for the command in `bin_dir`.

    Where systemd runs, the socket is disabled and both are stopped first. Raises
    Code.INTERNAL when systemd refuses.
    """
    service = os.path.join(unit_dir, SERVICE)
    if not starts(service, bin_dir):
        return
    runs = os.path.isdir(_RUNNING)
    if runs:
        _systemctl("disable", "--now", SOCKET)
        _systemctl("stop", SERVICE)
    # The service last: by it a repeated call knows that the socket is ours.
    wanted = os.path.join(unit_dir, "sockets.target.wants", SOCKET)
    for path in (wanted, os.path.join(unit_dir, SOCKET), service):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if runs:
        _systemctl("daemon-reload")
    tell(f"removed {SOCKET} {SERVICE} in {unit_dir}")


def starts(service: str, bin_dir: str) -> bool:
    """Tell whether the unit `service` starts the command in `bin_dir`."""
    wanted = f"ExecStart={os.path.join(bin_dir, 'cnipy')} serve"
    try:
        with open(service, encoding="utf-8", errors="replace") as file:
            return wanted in file.read().splitlines()
    except OSError:
        return False


def _systemctl(*words: str) -> None:
    command = ["systemctl", "--quiet", *words]
    status, _, stderr = execute(command, b"", {"PATH": _PATH})
    if status != 0:
        said = stderr.decode(errors="replace").strip()
        raise CNIError(Code.INTERNAL, f"run {' '.join(command)}: {said or status}")
