# SPDX-License-Identifier: Apache-2.0
"""The packed file under test, and a warm server of it."""

from __future__ import annotations

import subprocess
from platform import machine
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


FORMS = {
    "script": ("dist/bin/cnipy", "./build.sh build"),
    "program": (f"dist/client/{machine()}/cnipy", "./build.sh build --client"),
}
# What is tested here must hold of the packed file with the small client, too.
OF_BOTH_FORMS = frozenset(
    {
        *("test_start", "test_ours", "test_warm", "test_warm_deaths"),
        "test_warm_changes",
        *("test_warm_listener", "test_warm_peers", "test_warm_silence"),
    }
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test of `packed` once for each form, where both must do the same."""
    if "packed" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        forms = ["program"] if module == "test_small_client" else ["script"]
        wanted = FORMS if module in OF_BOTH_FORMS else forms
        metafunc.parametrize("packed", wanted, indirect=True)


@pytest.fixture(scope="session")
def packed(request: pytest.FixtureRequest) -> Path:
    """The one archive, made by build.sh, in one of its forms."""
    return _built(request.param)


@pytest.fixture(scope="session")
def script() -> Path:
    """The archive behind a script."""
    return _built("script")


def _built(form: str) -> Path:
    path, command = FORMS[form]
    archive = TOP / path
    if not archive.exists():
        lacking(f"{path} is not built: run {command}")
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
