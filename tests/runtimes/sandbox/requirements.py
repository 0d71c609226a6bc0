# SPDX-License-Identifier: Apache-2.0
"""What a test needs from the machine; without it the test is skipped or fails."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from plugins import REGISTER

REPOSITORY = Path(__file__).resolve().parents[3]
REFERENCE = Path("/usr/lib/cni")
OURS = tuple(REGISTER)
# What comparisons cannot do without; the other plugins are taken where they are.
COMPARED = ("bridge", "host-local", "portmap", "loopback")


def unmet(reason: str) -> NoReturn:
    """Skip the test; fail it under CNI_TESTS_STRICT=1, where nothing may be missing."""
    if os.environ.get("CNI_TESTS_STRICT") == "1":
        pytest.fail(f"{reason} (CNI_TESTS_STRICT=1)", pytrace=False)
    pytest.skip(reason)


def need(*programs: str) -> None:
    """Every program is in PATH and the caller is root."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        unmet(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        unmet("needs root: mounts and network namespaces")


def need_podman(*programs: str) -> None:
    """A Podman that calls CNI plugins is there, and every program.

    Podman 5 has netavark only, which no installation mends: skipped in CI too.
    """
    need("podman", *programs)
    said = subprocess.run(
        ("podman", "--version"), capture_output=True, text=True, check=False
    ).stdout
    version = said.split()[-1] if said.split() else "?"
    if version.partition(".")[0] not in {"3", "4"}:
        pytest.skip(f"Podman {version} has no CNI (4 was the last)")


def plugin_directory() -> Path:
    """Return CNI_TEST_PLUGINS, else the directory that build.sh made."""
    chosen = Path(os.environ.get("CNI_TEST_PLUGINS") or REPOSITORY / "dist" / "bin")
    missing = [name for name in OURS if not (chosen / name).is_file()]
    if missing:
        unmet(f"{chosen} has no {', '.join(missing)}: run ./build.sh")
    return chosen


def reference_directory() -> Path:
    """Return the directory of the reference plugins, version 1.1 or later."""
    missing = [name for name in COMPARED if not (REFERENCE / name).is_file()]
    if missing:
        unmet(f"{REFERENCE} has no {', '.join(missing)}: containernetworking-plugins")
    return REFERENCE
