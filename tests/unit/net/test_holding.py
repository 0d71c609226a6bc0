# SPDX-License-Identifier: Apache-2.0
"""What a node holds of a pool, beside the leases of its containers."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from unit.net.nodes import CONFIG

from cnipy.net.agent import holding
from cnipy.net.records import NodeRecord, Pool

if TYPE_CHECKING:
    from pathlib import Path

POOL = Pool(ip_network("10.64.0.0/16"), 29)  # of 5 addresses a block
BLOCKS = tuple(ip_network(f"10.64.{number}.0/29") for number in range(3))


@pytest.mark.parametrize(
    ("blocks", "leases", "lacks"),
    [
        (0, (), True),
        (1, (), False),
        (1, ("10.64.0.2",), True),
        (2, ("10.64.0.2", "10.64.1.2"), False),
        (3, ("10.64.0.2", "10.64.1.2", "10.64.2.2"), False),
        (2, [f"10.64.0.{number}" for number in range(2, 7)], False),
        (2, [*(f"10.64.0.{number}" for number in range(2, 7)), "10.64.1.4"], True),
        (1, ("10.64.9.2", "fd00::2"), False),
    ],
)
def test_in_reserve_are_as_many_addresses_as_a_block_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    blocks: int,
    leases: tuple[str, ...],
    lacks: bool,  # noqa: FBT001 - of a parameter
) -> None:
    """Whatever blocks they are of; one that is not the node's has none of them."""
    monkeypatch.setattr(holding, "DATA_DIR", str(tmp_path))
    config = replace(CONFIG, pools=(POOL,))
    (tmp_path / config.name).mkdir()
    for name in (*leases, "lock", "last_reserved_ip.0"):
        (tmp_path / config.name / name).touch()
    own = NodeRecord("alpha", (ip_address("192.0.2.1"),), BLOCKS[:blocks])
    assert holding.lacks_spare(config, own) == ([4] if lacks else [])
