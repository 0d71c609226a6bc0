# SPDX-License-Identifier: Apache-2.0
"""What uninstalling does to a directory, step by step, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cni_common.spec.errors import CNIError
from cnipy import uninstall as uninstalling
from cnipy.uninstall import uninstall

if TYPE_CHECKING:
    from pathlib import Path

BUILD = "0123456789abcdef" * 2
TREE = f"{BUILD}.cpython-311"
NAMES = ("bridge", "host-local", "portmap")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory in which bridge was another's, and a tree of the packed file."""
    directory, root = tmp_path / "bin", tmp_path / "trees"
    directory.mkdir()
    (root / TREE).mkdir(parents=True)
    (root / TREE / "bundle").touch()
    (root / f".{TREE}.lock").touch()
    (root / f".{TREE}.tree.x8w_2q1z").mkdir()
    head = f"#!/bin/sh\n# cnipy, build {BUILD}\nroot='{root}'\n"
    (directory / "cnipy").write_text(head)
    for name in NAMES:
        (directory / name).symlink_to("cnipy")
    (directory / "bridge.reference").write_text("theirs\n")
    (directory / ".portmap.4711").symlink_to("cnipy")
    return directory


def run(directory: Path) -> list[str]:
    """Uninstall; return what was told."""
    told: list[str] = []
    uninstall(str(directory), str(directory / "units"), NAMES, told.append)
    return told


def test_what_was_there_is_there_again(installed: Path) -> None:
    """The other's file is back, nothing else is left, and it is told."""
    told = run(installed)
    assert os.listdir(installed) == ["bridge"]
    assert (installed / "bridge").read_text() == "theirs\n"
    assert not (installed.parent / "trees").exists()
    assert told[0] == f"put back in {installed}: bridge"


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("step", range(1, 9))
def test_killed_at_any_step_it_is_finished_by_repeating(
    step: int, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done before the kill, the next call ends where one would have."""
    done = 0

    def killing(real: object) -> object:
        def wrapped(*arguments: object, **options: object) -> object:
            nonlocal done
            done += 1
            if done == step:
                raise KilledError
            assert callable(real)
            return real(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "rmdir"):
            patch.setattr(uninstalling.os, name, killing(getattr(os, name)))
        with pytest.raises(KilledError):
            run(installed)
    run(installed)
    assert os.listdir(installed) == ["bridge"]
    assert not (installed.parent / "trees").exists()


def test_a_file_of_others_in_the_place_of_a_kept_one_is_refused(
    installed: Path,
) -> None:
    """Which of two is wanted, the administrator says; nothing is changed before."""
    (installed / "bridge").unlink()
    (installed / "bridge").write_text("newer\n")
    before = sorted(os.listdir(installed))
    with pytest.raises(CNIError, match=r"not ours.*bridge"):
        run(installed)
    assert sorted(os.listdir(installed)) == before
    assert (installed.parent / "trees" / TREE).is_dir()


def test_a_tree_in_use_stays_with_the_command(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call under way may still import from its tree; who runs is named."""
    monkeypatch.setattr(uninstalling, "_PATIENCE", 0.3)
    tree = installed.parent / "trees" / TREE
    words = ["sh", "-c", "read x", BUILD]
    with (tree / "bundle").open() as bundle:
        busy = subprocess.Popen(words, stdin=-1, pass_fds=[bundle.fileno()])
    try:
        with pytest.raises(CNIError, match=f"processes {busy.pid} run from it"):
            run(installed)
        assert tree.is_dir()
        assert sorted(os.listdir(installed)) == ["bridge", "cnipy"]
    finally:
        busy.communicate()
    run(installed)
    assert os.listdir(installed) == ["bridge"]
