# SPDX-License-Identifier: Apache-2.0
"""The units that install wrote for systemd: the warm server, the keeper of leases."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.frame.execute import execute
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

_VERBS = {"cnipy-warm": "serve", "cnipy-dhcp": "dhcp"}
_RUNNING = "/run/systemd/system"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def remove(unit_dir: str, bin_dir: str, tell: Callable[[str], object]) -> None:
    """Remove the units from `unit_dir` that are for the command in `bin_dir`.

    Where systemd runs, sockets are disabled and all is stopped first. Raises
    Code.INTERNAL when systemd refuses.
    """
    for name, verb in _VERBS.items():
        service = os.path.join(unit_dir, f"{name}.service")
        if _starts(service, f"{os.path.join(bin_dir, 'cnipy')} {verb}"):
            _remove(unit_dir, name, tell)


def _remove(unit_dir: str, name: str, tell: Callable[[str], object]) -> None:
    socket, service = f"{name}.socket", f"{name}.service"
    runs = os.path.isdir(_RUNNING)
    if runs:
        _systemctl("disable", "--now", socket)
        _systemctl("stop", service)
    # The service last: by it a repeated call knows that the socket is ours.
    wanted = os.path.join(unit_dir, "sockets.target.wants", socket)
    places = (os.path.join(unit_dir, each) for each in (socket, service))
    for path in (wanted, *places):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if runs:
        _systemctl("daemon-reload")
    tell(f"removed {socket} {service} in {unit_dir}")


def _starts(service: str, command: str) -> bool:
    """Tell whether the unit `service` starts the command."""
    try:
        with open(service, encoding="utf-8", errors="replace") as file:
            return f"ExecStart={command}" in file.read().splitlines()
    except OSError:
        return False


def _systemctl(*words: str) -> None:
    command = ["systemctl", "--quiet", *words]
    status, _, stderr = execute(command, b"", {"PATH": _PATH})
    if status != 0:
        said = stderr.decode(errors="replace").strip()
        raise CNIError(Code.INTERNAL, f"run {' '.join(command)}: {said or status}")
