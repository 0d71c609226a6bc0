# SPDX-License-Identifier: Apache-2.0
"""The file of blocks and the agent's socket lie in a directory of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cni_common.pool import asking, held


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent writes, which is not there yet."""
    monkeypatch.setattr(held, "ROOT", str(tmp_path / "net"))
    monkeypatch.setattr(asking, "SOCKET", str(tmp_path / "run" / "net.sock"))
    return Path(held.ROOT)
