# SPDX-License-Identifier: Apache-2.0
"""Writers of several nodes on one pool, some of whose calls are killed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from benchmarks.pool_writers import run


@pytest.mark.skipif(os.geteuid() != 0, reason="/run is root's")
@pytest.mark.usefixtures("net")
def test_no_address_is_given_twice_or_lost() -> None:
    """What the living have is leased to them, after GC nothing else is.

    The same at scale: `python -m benchmarks.many_writers`.
    """
    # A tmpfs: what is written here is synced again and again.
    with tempfile.TemporaryDirectory(dir="/run") as room:
        outcome = run(Path(room), nodes=4, writers=8, calls=320, share=0.2, blocks=8)
    assert outcome.refused == []
    assert outcome.killed >= 30
    assert outcome.before_gc > 0
    wrong = (outcome.twice, outcome.outside, outcome.lost, outcome.leaked)
    assert wrong == (0, 0, 0, 0)
    assert outcome.blocks >= 4
