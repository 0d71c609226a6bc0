# SPDX-License-Identifier: Apache-2.0
"""Uninstalling: the plugin directory is as it was, whoever does it and how often."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from packed_file import FRESH, ROOT, TOP, privately

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = '--bin-dir "$0" --unit-dir "$0.u"'
INSTALL = f'{TOP}/build.sh install {DIRECTORIES} --conf-dir "$0.d" --force'
BY_COMMAND = '"$0/cnipy" uninstall --unit-dir "$0.u"'
BY_CHECKOUT = f"{TOP}/build.sh uninstall {DIRECTORIES}"
LOOK = f'ls -A "$0" "$0.u" {ROOT} /run/cnipy 2>/dev/null || true'


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A plugin directory with files of others, one of them a link."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "bridge").write_text("their bridge\n")
    (directory / "bridge").chmod(0o700)
    (directory / "host-local").symlink_to("/usr/lib/cni/host-local")
    (directory / "vlan").write_text("their vlan\n")
    return directory


def look(directory: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content, or target, of each name in a directory."""
    return {
        path.name: (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_text(),
        )
        for path in directory.iterdir()
    }


@pytest.mark.parametrize("uninstall", [BY_COMMAND, BY_CHECKOUT])
def test_uninstall_puts_back_what_install_moved(uninstall: str, node: Path) -> None:
    """Files of others are back as they were; links, trees and units are gone."""
    before = look(node)
    printed = privately(
        f"{FRESH} {INSTALL}; env -i {uninstall}; {LOOK}".replace("env -i /", "/"), node
    )
    assert look(node) == before
    assert os.listdir(f"{node}.u") == []
    assert not re.search(r"^\.?[0-9a-f]{32}", printed, re.MULTILINE)


def test_uninstall_can_be_repeated(node: Path) -> None:
    """A second time there is nothing to do, and nothing is done."""
    before = look(node)
    script = f"{FRESH} {INSTALL}; {BY_CHECKOUT}; {BY_CHECKOUT} 2>&1"
    assert "nothing of ours" in privately(script, node)
    assert look(node) == before


def test_uninstall_undoes_a_copy_through_our_links(node: Path) -> None:
    """Links that all lead to a file of others by now are taken away all the same."""
    before = look(node)
    copy = 'echo theirs >"$0.c"; cp "$0.c" "$0/portmap"'
    privately(f"{FRESH} {INSTALL}; {copy}; {BY_CHECKOUT}", node)
    assert look(node) == before | {"cnipy": (0o100755, "theirs\n")}


def test_uninstall_leaves_the_units_of_another_directory(node: Path) -> None:
    """Units that start the command of another directory are not ours to remove."""
    other = INSTALL.replace('"$0" ', '"$0.other" ', 1)
    privately(f"{FRESH} {INSTALL}; {other}; {BY_CHECKOUT}", node)
    assert sorted(os.listdir(f"{node}.u")) == [
        "cnipy-warm.service",
        "cnipy-warm.socket",
    ]


def test_uninstall_of_a_node_that_has_its_reference_back_already(node: Path) -> None:
    """Whoever has put back one of the files by hand may have the rest done."""
    before = look(node)
    hand = 'mv "$0/bridge.reference" "$0/bridge"'
    privately(f"{FRESH} {INSTALL}; {hand}; {BY_COMMAND}", node)
    assert look(node) == before
