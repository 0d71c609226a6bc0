# SPDX-License-Identifier: Apache-2.0
"""A network with a server, and a keeper of leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from netns.cnipy.helpers import Desk
from netns.dhcp.helpers import Keeper, Lan, keeper_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host


@pytest.fixture
def lan(host: Host, tmp_path: Path) -> Iterator[Lan]:
    """A network on which nobody serves yet."""
    found = Lan.of(host, tmp_path)
    yield found
    found.silence()


@pytest.fixture
def keeper(host: Host, tmp_path: Path) -> Iterator[Keeper]:
    """A keeper at its usual place."""
    del host
    with keeper_at(tmp_path / "keeper.log") as found:
        yield found


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator's place."""
    return Desk(host, cni, tmp_path)
