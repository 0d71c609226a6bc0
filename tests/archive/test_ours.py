# SPDX-License-Identifier: Apache-2.0
"""A delegate found in CNI_PATH is called in process if it is of this very build."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from launcher.loading import finder

if TYPE_CHECKING:
    from pathlib import Path


def test_link_to_the_archive_is_ours(packed: Path, tmp_path: Path) -> None:
    """A link leads to the plugin of the link's name."""
    (tmp_path / "loopback").symlink_to(packed)
    found = finder(str(packed))(str(tmp_path / "loopback"))
    assert found is not None
    assert (found.name, found.is_ipam) == ("loopback", False)


def test_copy_of_the_archive_is_ours(packed: Path, tmp_path: Path) -> None:
    """A copy is recognised by its first bytes."""
    shutil.copy(packed, tmp_path / "loopback")
    assert finder(str(packed))(str(tmp_path / "loopback")) is not None


def test_other_build_is_not_ours(packed: Path, build: str, tmp_path: Path) -> None:
    """A plugin of another build is executed, as a stranger's would be."""
    content = packed.read_bytes()
    other = content[:1024].replace(build.encode(), b"0" * len(build))
    (tmp_path / "loopback").write_bytes(other + content[1024:])
    assert finder(str(packed))(str(tmp_path / "loopback")) is None


def test_foreign_plugin_is_not_ours(packed: Path, tmp_path: Path) -> None:
    """A file of others under one of our names is not ours."""
    (tmp_path / "host-local").write_text("#!/bin/sh\n")
    assert finder(str(packed))(str(tmp_path / "host-local")) is None


def test_unknown_type_is_not_ours(packed: Path, tmp_path: Path) -> None:
    """A type outside the register is not ours, even if the file is."""
    (tmp_path / "bond").symlink_to(packed)
    assert finder(str(packed))(str(tmp_path / "bond")) is None


def test_absent_file_is_not_ours(packed: Path, tmp_path: Path) -> None:
    """A path where nothing lies is not ours."""
    assert finder(str(packed))(str(tmp_path / "bridge")) is None
