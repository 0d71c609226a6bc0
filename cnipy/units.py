# SPDX-License-Identifier: Apache-2.0
"""The units that install wrote for systemd: warm server, keeper of leases, agent."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common.frame.execute import execute
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

# What a service starts, and by which unit it is enabled.
_VERBS = {
    "cnipy-warm": ("serve", "socket"),
    "cnipy-dhcp": ("dhcp", "socket"),
    "cnipy-net": ("net agent", "service"),
}
_WANTS = {"socket": "sockets.target.wants", "service": "multi-user.target.wants"}
RUNNING = "/run/systemd/system"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def remove(unit_dir: str, bin_dir: str, tell: Callable[[str], object]) -> None:
    """Remove the units from `unit_dir` that are for the command in `bin_dir`.

    Where systemd runs, they are disabled and stopped first. Raises Code.INTERNAL when
    systemd refuses.
    """
    for name, (verb, kind) in _VERBS.items():
        service = os.path.join(unit_dir, f"{name}.service")
        if _starts(service, f"{os.path.join(bin_dir, 'cnipy')} {verb}"):
            _remove(unit_dir, name, kind, tell)


def _remove(unit_dir: str, name: str, kind: str, tell: Callable[[str], object]) -> None:
    enabled, service = f"{name}.{kind}", f"{name}.service"
    units = list(dict.fromkeys((enabled, service)))
    runs = os.path.isdir(RUNNING)
    if runs:
        _systemctl("disable", "--now", enabled)
        _systemctl("stop", service)
    # The service last: by it a repeated call knows that the socket is ours.
    wanted = os.path.join(unit_dir, _WANTS[kind], enabled)
    places = (os.path.join(unit_dir, each) for each in units)
    for path in (wanted, *places):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if runs:
        _systemctl("daemon-reload")
    tell(f"removed {' '.join(units)} in {unit_dir}")


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
