# SPDX-License-Identifier: Apache-2.0
"""cluster-pool needs neither root nor a network namespace, only directories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from unit import outcome
from unit.outcome import Outcome, environment

from cni_common import state
from cni_common.pool import asking, held
from plugins.cluster_pool.plugin import PLUGIN

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Network:
    """A network of the name `apps`, and the calls on it."""

    room: Path

    @property
    def leases(self) -> set[str]:
        """Names of the leases."""
        directory = self.room / "networks" / "apps"
        found = directory.iterdir() if directory.is_dir() else ()
        names = {path.name for path in found}
        return {n for n in names if n != "lock" and not n.startswith("last_")}

    def call(
        self,
        verb: str,
        cid: str = "c1",
        runtime: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
        **ipam: Any,
    ) -> Outcome:
        """Call the plugin in this process."""
        data = str(self.room / "networks")
        conf = {
            "cniVersion": "1.1.0",
            "name": "apps",
            "type": "bridge",
            "ipam": {"type": "cluster-pool", "dataDir": data, **ipam},
            "runtimeConfig": runtime or {},
            **(more or {}),
        }
        return outcome.call(PLUGIN, conf, environment(verb, cid))

    def fill(self, count: int, start: int = 0, **ipam: Any) -> list[str]:
        """Attach so many containers; return their addresses of all families."""
        found = []
        for number in range(start, start + count):
            found += self.call("ADD", f"f{number}", **ipam).addresses
        return found


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network with nothing on disk yet."""
    monkeypatch.setattr(state, "ROOT", str(tmp_path / "run" / "cni"))
    monkeypatch.setattr(held, "ROOT", str(tmp_path / "net"))
    monkeypatch.setattr(asking, "SOCKET", str(tmp_path / "run" / "net.sock"))
    return Network(tmp_path)
