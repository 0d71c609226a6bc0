# SPDX-License-Identifier: Apache-2.0
"""The packed file under test, and a warm server of it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import lacking
from packed_file import INTERPRETER, TOP
from warm_server import served

from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Host


@pytest.fixture(scope="session")
def packed() -> Path:
    """The one archive, made by build.sh."""
    archive = TOP / "dist/bin/cnipy"
    if not archive.exists():
        lacking("dist/bin is not built: run ./build.sh build")
    return archive


@pytest.fixture
def build(packed: Path) -> str:
    """The build of the archive, as its first bytes say."""
    head = packed.read_bytes()[:1024].decode(errors="replace")
    return head.partition("# cnipy, build ")[2].partition("\n")[0]


@pytest.fixture
def tree(build: str) -> str:
    """The name of the archive's tree, as the interpreter fixed at build extracts it."""
    words = [INTERPRETER, "-c", "import sys; print(sys.implementation.cache_tag)"]
    return f"{build}.{subprocess.check_output(words, text=True).strip()}"


@pytest.fixture
def plugin_dir(packed: Path, tmp_path: Path) -> Path:
    """A plugin directory with one copy of the archive under each plugin's name."""
    for name in REGISTER:
        (tmp_path / name).symlink_to(packed)
    return tmp_path


@pytest.fixture
def warm(host: Host, packed: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A warm server in the namespaces of the test."""
    del host
    with served(packed) as server:
        yield server
