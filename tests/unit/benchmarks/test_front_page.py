# SPDX-License-Identifier: Apache-2.0
"""README.md has the medians of the run whose results are stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import front_page
from benchmarks.measurements import Measurements, Name

TOP = Path(__file__).parents[3]
README = (TOP / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def stored() -> Measurements:
    """What benchmarks/results.json has."""
    text = (TOP / "benchmarks/results.json").read_text(encoding="utf-8")
    return Measurements.read(json.loads(text)["measurements"])


def test_readme_is_what_was_measured(stored: Measurements) -> None:
    """Each row with figures is that of the stored results, none is left out."""
    shown = [line for line in README.splitlines() if line.endswith(("ms |", "MiB |"))]
    assert shown
    rows = list(front_page.rows(stored).values())
    assert set(shown) <= set(rows)
    assert [row for row in rows if row not in README.splitlines()] == []


def test_results_are_stored_and_read_alike(stored: Measurements) -> None:
    """What is read from the file is what would be written."""
    text = (TOP / "benchmarks/results.json").read_text(encoding="utf-8")
    said = json.loads(text)["measurements"]
    again = stored.document()
    assert [each["values"] for each in again] == [each["values"] for each in said]
    assert [each["median"] for each in again] == pytest.approx(
        [each["median"] for each in said], abs=1e-6
    )


def test_only_what_was_measured_is_replaced() -> None:
    """A step that was given up leaves its rows as they are."""
    found = Measurements()
    for who in ("cold", "warm", "warm, small client", "reference"):
        found.add(Name("chain", "DEL", who), 0.0123)
    before, after = (
        text.splitlines() for text in (README, front_page.updated(README, found))
    )
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["| detach it | 12.3 ms | 12.3 ms | 12.3 ms (12.3 ms) |"]


def test_row_that_is_not_there_is_told() -> None:
    """A README without the row is an error, not a table without figures."""
    found = Measurements()
    for who in ("cold", "warm", "warm, small client", "reference"):
        found.add(Name("chain", "DEL", who), 0.0123)
    with pytest.raises(ValueError, match="not enough values"):
        front_page.updated(README.replace("| detach it |", "| detach |"), found)
