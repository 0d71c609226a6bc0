# SPDX-License-Identifier: Apache-2.0
"""The tables, the plot and the files say what was measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from benchmarks import iptables, plot, report, tables
from benchmarks.measurements import (
    BYTES,
    INSTRUCTIONS,
    KIB,
    PER_SECOND,
    Measurement,
    Measurements,
    Name,
)

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def found() -> Measurements:
    """A chain that is measured, and that grows with mappings for the reference."""
    every = Measurements()
    for who, slope in (("warm", 0), ("reference", 1)):
        every.add(Name("chain", "ADD", who), 0.03 + slope * 0.03, 0.02)
        for level in (0, 1000, 5000):
            for verb in ("ADD", "DEL"):
                name = Name("growth", f"chain {verb}", who, f"{level} mappings")
                every.add(name, 0.03 + slope * level / 10000, 0.02)
    every.add(Name("growth", "chain ADD", "warm", "20000 mappings"), 0.03, 0.02)
    return every


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("s", 0.0123, "12.3 ms (12.3 - 12.3)"),
        ("s", 1.5, "1,500 ms (1,500 - 1,500)"),
        (KIB, 2048, "2.00 MiB (2.00 - 2.00)"),
        (INSTRUCTIONS, 229_900_000, "230 M (230 - 230)"),
        (PER_SECOND, 12345.6, "12,346 /s (12,346 - 12,346)"),
        (BYTES, 3 << 30, "3.00 GiB/s (3.00 - 3.00)"),
    ],
)
def test_cell_has_a_unit(unit: str, value: float, shown: str) -> None:
    """A value is shown in the unit that people say, with its quartiles."""
    assert tables.cell(Measurement(unit, [value])) == shown


def test_cell_has_cpu_time_where_it_was_counted() -> None:
    """CPU time stands behind the rest, in milliseconds."""
    measurement = Measurement(values=[0.012], cpu=[0.011])
    assert tables.cell(measurement) == "12.0 ms (12.0 - 12.0), CPU 11.0"
    assert tables.cell(None) == "-"


def test_section_has_a_column_for_each_peer(found: Measurements) -> None:
    """Rows are what was called at each load; what was not measured is a dash."""
    lines = tables.section(found, "growth").splitlines()
    assert lines[0] == "| what | on the node | warm | reference |"
    last_add = next(line for line in lines if "ADD | 20000 mappings" in line)
    assert last_add.endswith("| - |")
    assert len(lines) == 2 + 4 + 3


def test_section_without_loads_does_not_mention_them(found: Measurements) -> None:
    """A column that would say nothing is left out."""
    head = tables.section(found, "chain").splitlines()[0]
    assert head == "| what | warm | reference |"


def test_plot_is_one_drawing_of_all_lines(found: Measurements) -> None:
    """The SVG is well formed and has a line for each peer and verb."""
    root = ET.fromstring(plot.svg(plot.panels(found)))
    assert root.tag == f"{SVG}svg"
    lines = [line.get("points", "") for line in root.iter(f"{SVG}polyline")]
    assert [len(points.split()) for points in lines] == [4, 3, 3, 3]
    x, y = zip(*(map(float, p.split(",")) for p in lines[2].split()), strict=True)
    assert list(x) == sorted(x)
    assert list(y) == sorted(y, reverse=True)


def test_results_are_stored(found: Measurements, tmp_path: Path) -> None:
    """Markdown, JSON and plot say the same run."""
    text = report.store(tmp_path, found, {"command": "./build.sh bench"}, ["a note"])
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == text
    assert "| chain ADD warm, wall, to reference | at most 0.45 | 0.500 | no |" in text
    assert "- a note\n" in text
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert stored["run"] == {"command": "./build.sh bench"}
    chain = [each for each in stored["measurements"] if each["section"] == "chain"]
    assert [each["median"] for each in chain] == [0.03, 0.06]
    assert (tmp_path / "cost.svg").read_text(encoding="utf-8").startswith("<svg")


def test_rules_declare_every_chain_first() -> None:
    """Chains stand before rules, as iptables-restore wants, and have short names."""
    others = [iptables.Other(f"o{n}", f"10.88.0.{n}", 1024 + n) for n in (2, 3)]
    lines = iptables.mappings(others).splitlines()
    chains = [line.split()[0][1:] for line in lines if line.startswith(":")]
    assert lines[1:3] == [f":{chain} - [0:0]" for chain in chains]
    assert len(set(chains)) == 2
    assert all(len(chain) <= 28 for chain in chains)
    assert lines[-1] == "COMMIT"
