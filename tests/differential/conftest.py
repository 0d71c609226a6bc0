# SPDX-License-Identifier: Apache-2.0
"""Two equal fresh machines: one has the reference plugins, the other ours."""

from collections.abc import Iterator

import pytest

from tests.differential.pair import Pair, machines


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Fresh machines for one test."""
    with machines() as fresh:
        yield fresh
