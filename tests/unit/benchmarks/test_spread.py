# SPDX-License-Identifier: Apache-2.0
"""Medians, quartiles and ratios say what was measured."""

from __future__ import annotations

import pytest

from benchmarks.figures import Figure, ratio
from benchmarks.measurements import Measurements, Name
from benchmarks.quiet import _busy
from benchmarks.spread import Spread, spread


def test_spread_has_the_middle_half() -> None:
    """Median and quartiles are those of all values, whatever their order."""
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4)


def test_spread_of_one_value_is_that_value() -> None:
    """One value is its own median and quartiles."""
    assert spread([7.0]) == Spread(7, 7, 7)


def test_spread_of_nothing_is_refused() -> None:
    """No value is no zero."""
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_ratio_is_of_medians() -> None:
    """A ratio compares medians, of wall or CPU time, and one outlier does not count."""
    ours, theirs = Name("chain", "ADD", "warm"), Name("chain", "ADD", "reference")
    found = Measurements()
    for wall, cpu in ((2, 1), (2, 1), (90, 50)):
        found.add(ours, wall, cpu)
        found.add(theirs, wall * 2, cpu * 4)
    assert ratio(found, ours, theirs, cpu=False) == pytest.approx(0.5)
    assert ratio(found, ours, theirs, cpu=True) == pytest.approx(0.25)


def test_ratio_needs_both() -> None:
    """What was not measured gives no ratio, and CPU time that was not counted none."""
    ours, theirs = Name("chain", "ADD", "warm"), Name("chain", "ADD", "reference")
    found = Measurements()
    found.add(ours, 1.0, 0.0)
    assert ratio(found, ours, theirs, cpu=False) is None
    found.add(theirs, 2.0, 0.0)
    assert ratio(found, ours, theirs, cpu=True) is None


@pytest.mark.parametrize(
    ("measured", "at_least", "reached"),
    [
        (0.6, False, "yes"),
        (0.61, False, "no"),
        (0.61, True, "yes"),
        (0.59, True, "no"),
        (None, False, "not measured"),
    ],
)
def test_figure_is_reached(
    measured: float | None,
    at_least: bool,  # noqa: FBT001 - a parameter of the test
    reached: str,
) -> None:
    """A limit is reached on it and on its right side only."""
    assert Figure("x", 0.6, measured, at_least=at_least).reached == reached


def test_busy_share_counts_what_is_not_idle() -> None:
    """Idle time and waiting for input are not work."""
    before, after = [0] * 8, [10, 0, 10, 70, 10, 0, 0, 0]
    assert _busy(before, after) == pytest.approx(0.2)
