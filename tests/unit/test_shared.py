# SPDX-License-Identifier: Apache-2.0
"""Users of what is shared are counted; what lies beside them is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cni_common import state
from cni_common.attachment import shared

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "is_user"),
    [
        ("0a" * 32, True),
        ("tcp-8080", True),
        ("change", False),
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
def test_users_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_user: bool
) -> None:
    """Digests and ports; nothing that only looks like one."""
    monkeypatch.setattr(state, "ROOT", os.fspath(tmp_path))
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / name).touch()
    assert shared.is_used("thing") == is_user
    assert shared.users("thing") == [name] * is_user


def test_last_user_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lets go last is told so, and no directory of the thing is left."""
    monkeypatch.setattr(state, "ROOT", os.fspath(tmp_path))
    one, other = "1" * 64, "2" * 64
    shared.hold("room/thing", one)
    shared.hold("room/thing", other, {"network": "n"})
    assert (tmp_path / "room/thing" / other).read_text() == '{"network": "n"}'
    assert not shared.is_last("room/thing", [one])
    assert not shared.let_go("room/thing", one)
    assert shared.is_last("room/thing", [other])
    assert not shared.let_go("room/thing", one)
    assert shared.let_go("room/thing", other)
    assert list(tmp_path.iterdir()) == []
