# SPDX-License-Identifier: Apache-2.0
"""The results as Markdown tables, as JSON and as a plot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import plot, tables
from benchmarks.figures import figures
from benchmarks.steps import growth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.measurements import Measurements

_INTRODUCTION = """\
# Benchmarks

Medians, then the quartiles in brackets, then the median CPU time (user and system, of
everything that ran for the call, the warm server's children included). What is
compared was measured in the same rounds, in turn. docs/benchmarks.md says how.
"""
PLOT = "cost.svg"


def store(
    directory: Path,
    found: Measurements,
    described: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """Return the results as Markdown; they are in `directory` now, in three files."""
    text = markdown(found, described, notes)
    document = {
        "run": dict(described),
        "notes": list(notes),
        "figures": [
            {**each._asdict(), "reached": each.reached} for each in figures(found)
        ],
        "measurements": found.document(),
    }
    written = json.dumps(document, indent=1)
    (directory / "results.json").write_text(f"{written}\n", encoding="utf-8")
    (directory / "results.md").write_text(text, encoding="utf-8")
    panels = plot.panels(found)
    if panels:
        (directory / PLOT).write_text(plot.svg(panels), encoding="utf-8")
    return text


def markdown(
    found: Measurements, described: Mapping[str, str], notes: Sequence[str]
) -> str:
    """Return everything as tables, the figures to reach first."""
    parts = [
        _INTRODUCTION,
        tables.run(described),
        "".join(f"- {note}\n" for note in notes),
    ]
    parts += ["## Figures\n", tables.figures(figures(found))]
    for section in found.sections():
        parts.append(f"## {section.capitalize()}\n")
        if section == growth.SECTION and plot.panels(found):
            parts.append(f"![cost of ADD and DEL as a node fills]({PLOT})\n")
        parts.append(tables.section(found, section))
    return "\n".join(parts)
