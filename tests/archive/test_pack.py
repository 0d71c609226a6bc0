# SPDX-License-Identifier: Apache-2.0
"""The build step: same ingredients, same bytes."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from launcher import pack

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shiv_archive(tmp_path: Path) -> Path:
    """A small archive of the form that shiv writes."""
    path = tmp_path / "shiv.pyz"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("site-packages/thing/__init__.py", "VALUE = 1\n")
        packed.writestr("site-packages/bin/thing", "#!/somewhere/python\n")
        packed.writestr("_bootstrap/__init__.py", "")
        packed.writestr("__main__.py", "")
    return path


def test_same_ingredients_give_the_same_bytes(
    shiv_archive: Path, tmp_path: Path
) -> None:
    """Two builds differ in nothing, so that a build can be checked by repeating it."""
    for name in ("one", "two"):
        content = pack.members(shiv_archive)
        pack.write(tmp_path / name, content, "/usr/bin/python3", "/var/cache/cnipy")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_other_root_gives_another_build(shiv_archive: Path) -> None:
    """The build stands for the interpreter and the root too."""
    content = pack.members(shiv_archive)
    builds = {
        pack.build_id(content, python, root)
        for python in ("/usr/bin/python3", "/opt/python3")
        for root in ("/var/cache/cnipy", "/var/lib/cnipy")
    }
    assert len(builds) == 4


def test_archive_holds_sources_and_no_scripts(shiv_archive: Path) -> None:
    """Nothing is compiled before it is known which Python it is for."""
    assert set(pack.members(shiv_archive)) == {
        "bundling.py",
        "extract.py",
        "site-packages/thing/__init__.py",
    }


def test_gate_has_neither_comments_nor_an_apostrophe(
    shiv_archive: Path, tmp_path: Path
) -> None:
    """What is compiled at every start stands between apostrophes, and is brief."""
    output = tmp_path / "packed"
    pack.write(output, pack.members(shiv_archive), "/usr/bin/python3", "/var/cache/x")
    script = output.read_bytes().partition(b"PK\3\4")[0].decode()
    gate, _, rare, *_ = script.partition(" -c '")[2].split("'")
    for text in (gate, rare):
        compile(text, "text", "exec")
        assert "#" not in text


def test_build_stands_in_the_first_bytes(shiv_archive: Path, tmp_path: Path) -> None:
    """The first KiB tells one build from another."""
    content = pack.members(shiv_archive)
    output = tmp_path / "packed"
    build = pack.write(output, content, "/usr/bin/python3", "/var/cache/cnipy")
    assert build.encode() in output.read_bytes()[:1024]


@pytest.mark.parametrize("path", ["python3", "/a'b", "/a b", '/a"b', "/a\nb"])
def test_path_that_a_shell_could_misread_is_refused(path: str) -> None:
    """Interpreter and root go into a shell script, so only plain paths are taken."""
    with pytest.raises(SystemExit):
        pack.main(["a", "b", "--python", path, "--root", "/var/cache/cnipy"])
