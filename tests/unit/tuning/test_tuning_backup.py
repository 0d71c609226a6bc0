# SPDX-License-Identifier: Apache-2.0
"""The reference's file: what is believed, what is in the way."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cni_common import link_backup as backup
from cni_common.naming import Attachment
from cni_common.spec.characters import is_directory
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

OWNER = Attachment("net", "c1", "eth0")
NAME = "c1_eth0.json"
LINK = {"mac": "02:00:00:00:00:01", "mtu": 1500, "promisc": False, "txQLen": 0}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A backup is read as it was written, and gone when deleted, again too."""
    directory = f"{tmp_path}/a/b/"
    backup.write(directory, OWNER, LINK)
    assert backup.read(directory, OWNER) == LINK
    for _ in range(2):
        backup.delete(directory, OWNER)
        assert backup.read(directory, OWNER) is None
    assert os.listdir(directory) == []


@pytest.mark.parametrize(
    ("text", "believed"),
    [
        ("", {}),
        ("{", {}),
        ("[" * 3000, {}),
        ("[]", {}),
        ('{"mtu": 0, "txQLen": -1, "promisc": 1, "mac": "x"}', {}),
        ('{"mtu": true, "txQLen": 4294967296, "mac": ["x"], "other": 1}', {}),
        ('{"mtu": "1500", "allmulti": true}', {"allmulti": True}),
        (json.dumps(LINK, indent=1), LINK),
    ],
)
def test_only_what_the_kernel_could_have_is_believed(
    tmp_path: Path, text: str, believed: dict[str, object]
) -> None:
    """Settings that no link can have are left out, whatever somebody wrote."""
    (tmp_path / NAME).write_text(text)
    assert backup.read(str(tmp_path), OWNER) == believed


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """A pipe or a directory in the place of the file neither blocks nor is believed."""
    place = tmp_path / NAME
    os.mkfifo(place) if kind == "fifo" else place.mkdir()
    assert backup.read(str(tmp_path), OWNER) is None


def test_directory_is_in_the_place_of_the_file(tmp_path: Path) -> None:
    """What cannot be replaced or removed is code 5, with the kernel's cause."""
    (tmp_path / NAME).mkdir()
    for act in (
        lambda: backup.write(str(tmp_path), OWNER, LINK),
        lambda: backup.delete(str(tmp_path), OWNER),
    ):
        with pytest.raises(CNIError) as refused:
            act()
        assert refused.value.code == 5
        assert refused.value.msg == f"use dataDir {tmp_path}: is a directory"


def test_file_is_in_the_place_of_the_directory(tmp_path: Path) -> None:
    """A file where dataDir or its parent should be can take no backup."""
    (tmp_path / "file").write_text("")
    for directory in (f"{tmp_path}/file", f"{tmp_path}/file/below"):
        with pytest.raises(CNIError, match=r"not a directory|file exists"):
            backup.write(directory, OWNER, LINK)
        with pytest.raises(CNIError):
            backup.check_ready(directory)
        backup.delete(directory, OWNER)


def test_ready_directory(tmp_path: Path) -> None:
    """A directory that is there, or can be made, is ready, and is not made."""
    backup.check_ready(str(tmp_path))
    backup.check_ready(f"{tmp_path}/a/b")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["", "run", "/run/../etc", "..", "/run\0"])
def test_path_that_is_no_directory_of_ours(path: str) -> None:
    """Relative paths, `..` and NUL are no dataDir."""
    assert not is_directory(path)
    assert is_directory("/run/cni/..tuning")
