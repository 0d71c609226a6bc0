# SPDX-License-Identifier: Apache-2.0
"""Each limit stands beside what was measured of the thing that it is about."""

from __future__ import annotations

import pytest

from benchmarks.figures import Figure, figures
from benchmarks.measurements import INSTRUCTIONS, KIB, Measurements, Name


def figure(found: Measurements, what: str) -> Figure:
    """Return the one figure about `what`."""
    (only,) = [each for each in figures(found) if each.what == what]
    return only


def test_instructions_are_in_millions() -> None:
    """Counts of the chain are compared with limits in millions."""
    found = Measurements()
    for verb, count in (("ADD", 229_900_000), ("DEL", 180_100_000)):
        name = Name("instructions", f"chain {verb}", "cold")
        found.add(name, count, unit=INSTRUCTIONS)
    added = figure(found, "instructions of a cold chain ADD, millions")
    deleted = figure(found, "instructions of a cold chain DEL, millions")
    assert added.measured == pytest.approx(229.9)
    assert (added.reached, deleted.reached) == ("yes", "no")


def test_status_is_that_of_the_slowest_plugin() -> None:
    """STATUS is compared by CPU time, and the plugin that needs most of it counts."""
    found = Measurements()
    for plugin, cpu in (("bridge", 0.024), ("tuning", 0.036)):
        found.add(Name("status", plugin, "cold"), 0.001, cpu)
        found.add(Name("status", plugin, "reference, VERSION"), 0.001, 0.004)
    what = "STATUS cold, slowest plugin, CPU, to VERSION of reference"
    assert figure(found, what).measured == pytest.approx(9)


def test_warm_calls_have_limits_for_each_client() -> None:
    """Each client has its limit, and the one that was not built has no value."""
    found = Measurements()
    for who, wall in (("warm", 0.044), ("reference", 0.1)):
        found.add(Name("chain", "ADD", who), wall, 0.01)
    python = figure(found, "chain ADD warm, wall, to reference")
    small = figure(found, "chain ADD warm, small client, wall, to reference")
    assert (python.limit, python.reached) == (0.45, "yes")
    assert (small.limit, small.reached) == (0.3, "not measured")
    found.add(Name("chain", "ADD", "warm, small client"), 0.025, 0.01)
    small = figure(found, "chain ADD warm, small client, wall, to reference")
    assert small.measured == pytest.approx(0.25)


def test_packed_file_is_in_megabytes() -> None:
    """The packed file is measured by its bytes, a million of them to a megabyte."""
    found = Measurements()
    found.add(Name("memory", "packed file", "cold"), 2_500_001 / 1024, unit=KIB)
    packed = figure(found, "packed file, MB")
    assert packed.measured == pytest.approx(2.5, abs=0.001)
    assert packed.reached == "no"
