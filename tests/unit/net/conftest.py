# SPDX-License-Identifier: Apache-2.0
"""Where the stores of these tests are, and who closes them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory that is not synced to a disk."""
    made = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def open_by() -> Iterator[ExitStack]:
    """Have what is opened closed, however the test ends."""
    with ExitStack() as stack:
        yield stack
