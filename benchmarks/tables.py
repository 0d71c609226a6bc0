# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of measurements, with values as people say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measurements import (
    BYTES,
    INSTRUCTIONS,
    KIB,
    NONE,
    PER_SECOND,
    SECONDS,
    Name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.figures import Figure
    from benchmarks.measurements import Measurement, Measurements

# Unit -> what it is divided by, and what it is called then.
_SHOWN = {
    SECONDS: (0.001, "ms"),
    KIB: (1024, "MiB"),
    INSTRUCTIONS: (1e6, "M"),
    PER_SECOND: (1, "/s"),
    BYTES: (1 << 30, "GiB/s"),
}
_TEN, _HUNDRED = 10, 100


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def run(described: Mapping[str, str]) -> str:
    """Return the table of what the figures depend on."""
    return table(("run", ""), described.items())


def figures(every: Iterable[Figure]) -> str:
    """Return the table of figures to reach."""
    rows = []
    for figure in every:
        bound = "at least" if figure.at_least else "at most"
        measured = "-" if figure.measured is None else f"{figure.measured:.3f}"
        limit = f"{bound} {figure.limit:g}"
        rows.append((figure.what, limit, measured, figure.reached))
    return table(("what", "limit", "measured", "reached"), rows)


def section(found: Measurements, name: str) -> str:
    """Return one section: a row for each thing and load, a column for each peer."""
    whose = found.distinct(name, lambda each: each.who)
    loads = found.distinct(name, lambda each: each.load)
    rows = []
    for what in found.distinct(name, lambda each: each.what):
        for load in loads:
            every = [found.by_name.get(Name(name, what, who, load)) for who in whose]
            if any(every):
                rows.append([what, load, *map(cell, every)])
    head = ["what", "on the node", *whose]
    if loads == [NONE]:
        head, rows = ["what", *whose], [[row[0], *row[2:]] for row in rows]
    return table(head, rows)


def cell(measurement: Measurement | None) -> str:
    """Return median, quartiles, and CPU time where it was counted."""
    if measurement is None:
        return "-"
    divisor, _ = _SHOWN[measurement.unit]
    low, high = (number(value / divisor) for value in measurement.wall[1:])
    text = f"{median(measurement)} ({low} - {high})"
    cpu = measurement.cpu_median
    return text if cpu is None else f"{text}, CPU {number(cpu / 0.001)}"


def median(measurement: Measurement) -> str:
    """Return the median in the unit that people say."""
    divisor, unit = _SHOWN[measurement.unit]
    return f"{number(measurement.wall.median / divisor)} {unit}"


def number(value: float) -> str:
    """Return a value with three digits at least."""
    if value >= _HUNDRED:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= _TEN else f"{value:.2f}"
