# SPDX-License-Identifier: Apache-2.0
"""The nodes of a module share one network of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from netns.net import machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.net.machines import Lan


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """A network of machines with an etcd."""
    with machines.lan() as made:
        yield made
