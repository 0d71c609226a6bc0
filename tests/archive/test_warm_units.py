# SPDX-License-Identifier: Apache-2.0
"""build.sh install has systemd start the warm server, unless somebody declined.

No systemd runs here: what is asked of it is written down by one that stands in for it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from lab import lacking, run
from packed_file import FRESH, TOP, privately

if TYPE_CHECKING:
    from pathlib import Path

UNITS = "/etc/systemd/system"
# $0 is the plugin directory; $0.asked gets what is asked of systemctl, which says of
# the socket what $0.state has, and does as the administrator wants who removed $0.fit.
SYSTEMD = f"""{FRESH}
mkdir -p /run/systemd/system {UNITS}; mount -t tmpfs tmpfs {UNITS}
printf '#!/bin/sh\\necho "$*" >>%s\\n[ "$1" != is-enabled ] || cat %s\\n[ -e %s ]\\n' \\
    "$0.asked" "$0.state" "$0.fit" >/run/systemctl
chmod +x /run/systemctl
PATH=/run:$PATH
"""
INSTALL = f'{TOP}/build.sh install --bin-dir "$0" --conf-dir "$0.d" 2>&1'
ENABLED = "enable --quiet --now cnipy-warm.socket"


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A plugin directory on a node where systemd runs."""
    (tmp_path / "bin.fit").touch()
    (tmp_path / "bin.state").write_text("")
    return tmp_path / "bin"


def asked(bin_dir: Path) -> list[str]:
    """Return what systemctl was called with, but for the question what is enabled."""
    lines = bin_dir.with_suffix(".asked").read_text().splitlines()
    return [line for line in lines if not line.startswith("is-enabled")]


def test_install_enables_the_socket_where_systemd_runs(bin_dir: Path) -> None:
    """The units are known to systemd, then the socket listens, now and after a boot."""
    said = privately(f"{SYSTEMD} {INSTALL}; ls {UNITS}", bin_dir)
    assert said.split()[-2:] == ["cnipy-warm.service", "cnipy-warm.socket"]
    assert asked(bin_dir) == [
        "daemon-reload",
        ENABLED,
        "try-restart cnipy-warm.service",
    ]


def test_install_without_warm_ends_what_there_is(bin_dir: Path) -> None:
    """With --no-warm no socket listens, whoever had it listen before."""
    bin_dir.with_suffix(".state").write_text("enabled\n")
    said = privately(f"{SYSTEMD} {INSTALL.replace('2>', '--no-warm 2>')}", bin_dir)
    assert "calls start cold" in said
    assert asked(bin_dir) == [
        "daemon-reload",
        "disable --quiet --now cnipy-warm.socket",
        "stop cnipy-warm.service",
    ]


def test_install_leaves_disabled_what_was_disabled(bin_dir: Path) -> None:
    """The next install does not undo what the administrator has decided."""
    bin_dir.with_suffix(".state").write_text("disabled\n")
    said = privately(f"{SYSTEMD} touch {UNITS}/cnipy-warm.socket; {INSTALL}", bin_dir)
    assert "systemctl enable --now cnipy-warm.socket" in said
    assert asked(bin_dir) == ["daemon-reload"]


def test_install_leaves_masked_what_was_masked(bin_dir: Path) -> None:
    """The link by which systemd masks a unit is not replaced."""
    bin_dir.with_suffix(".state").write_text("masked\n")
    mask = f"ln -s /dev/null {UNITS}/cnipy-warm.socket"
    said = privately(f"{SYSTEMD} {mask}; {INSTALL}; readlink {UNITS}/*", bin_dir)
    assert said.splitlines()[-1] == "/dev/null"
    assert asked(bin_dir) == []


def test_install_goes_on_where_systemd_refuses(bin_dir: Path) -> None:
    """Plugins without a warm server are installed plugins."""
    said = privately(
        f"{SYSTEMD} sed -i 's/^\\[ -e/[ \"$1\" != enable ] || [ -e/' /run/systemctl\n"
        f'rm "$0.fit"; {INSTALL}',
        bin_dir,
    )
    assert "cnipy-warm.socket does not start" in said
    assert "next:" in said


def test_install_without_systemd_says_how_to_have_a_server(tmp_path: Path) -> None:
    """Where nothing will start a server, it is said what would; nobody asks twice."""
    bin_dir = tmp_path / "bin"
    said = privately(f"{FRESH} {INSTALL}", bin_dir)
    assert f"{bin_dir}/cnipy serve" in said
    said = privately(f"{FRESH} {INSTALL.replace('2>', '--no-warm 2>')}", bin_dir)
    assert "cnipy serve" not in said


def test_systemd_understands_the_units(bin_dir: Path) -> None:
    """What install writes is without fault in the eyes of systemd-analyze."""
    if not shutil.which("systemd-analyze"):
        lacking("systemd-analyze is not installed")
    units = bin_dir.with_suffix(".u")
    privately(f"{FRESH} {INSTALL.replace('2>', f'--unit-dir {units} 2>')}", bin_dir)
    names = ("cnipy-warm.socket", "cnipy-warm.service")
    assert (
        run("systemd-analyze", "verify", *(str(units / name) for name in names)) == ""
    )
