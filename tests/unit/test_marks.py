# SPDX-License-Identifier: Apache-2.0
"""What lies beside marks in a directory is none of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cni_common import marks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "is_mark"),
    [
        ("0a" * 32, True),
        ("tcp-8080", True),
        ("change", True),
        ("0A" * 32, False),
        ("0a" * 31, False),
        ("tcp-", False),
        ("-80", False),
        ("tcp-123456", False),
        ("tcp-٣", False),
        ("é-80", False),
        ("TCP-80", False),
        (".change", False),
    ],
)
def test_marks_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_mark: bool
) -> None:
    """Digests, ports and a change; nothing that only looks like one."""
    monkeypatch.setattr(marks.state, "path", lambda *_: os.fspath(tmp_path))
    (tmp_path / name).touch()
    assert marks.any_in("directory") == is_mark
