# SPDX-License-Identifier: Apache-2.0
"""A small plot as SVG: what ADD and DEL of the chain cost as a node fills."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measurements import Name
from benchmarks.node import COLD, REFERENCE, WARM
from benchmarks.steps import growth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measurements import Measurements

WIDTH, HEIGHT = 330, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 30, 62
# Legible on white and on black alike.
_COLOURS = {COLD: "#3b82c4", WARM: "#2a9d5c", REFERENCE: "#d9652b"}
_DASHES = {"ADD": "", "DEL": ' stroke-dasharray="5 4"'}
_STYLE = """\
<style>
text { font: 11px sans-serif; fill: #6b7280 }
.title { font-size: 13px; font-weight: bold }
.grid { stroke: #9ca3af; stroke-opacity: .35 }
polyline { fill: none; stroke-width: 2 }
</style>
"""


class Line(NamedTuple):
    """One peer's verb: milliseconds at each level, None where not measured."""

    who: str
    verb: str
    values: list[float | None]


class Panel(NamedTuple):
    """What grows, its levels, and the lines above them."""

    kind: str
    levels: list[int]
    lines: list[Line]


def panels(found: Measurements) -> list[Panel]:
    """Return a panel for each kind of load that was measured."""
    every = []
    loads = [load.split() for load in found.distinct(growth.SECTION, lambda n: n.load)]
    for kind in dict.fromkeys(kind for _, kind in loads):
        levels = sorted(int(count) for count, each in loads if each == kind)
        lines = []
        for who in _COLOURS:
            for verb in _DASHES:
                line = Line(who, verb, _values(found, who, verb, kind, levels))
                if any(value is not None for value in line.values):
                    lines.append(line)
        every.append(Panel(kind, levels, lines))
    return every


def _values(
    found: Measurements, who: str, verb: str, kind: str, levels: Sequence[int]
) -> list[float | None]:
    values = []
    for level in levels:
        name = Name(growth.SECTION, f"chain {verb}", who, f"{level} {kind}")
        seconds = found.wall(name)
        values.append(None if seconds is None else seconds * 1000)
    return values


def svg(every: Sequence[Panel]) -> str:
    """Return the panels side by side; one logarithmic scale of milliseconds for all."""
    low, high = _decades(every)
    width = WIDTH * len(every)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}">\n',
        "<title>Milliseconds of ADD and DEL as a node fills</title>\n",
        _STYLE,
    ]
    for number, panel in enumerate(every):
        parts.append(f'<g transform="translate({WIDTH * number} 0)">\n')
        parts += [*_grid(low, high), *_axis(panel), *_lines(panel, low, high)]
        parts.append("</g>\n")
    return "".join([*parts, *_legend(every), "</svg>\n"])


def _decades(every: Sequence[Panel]) -> tuple[int, int]:
    """Return the powers of ten that enclose all values."""
    values = [v for panel in every for line in panel.lines for v in line.values if v]
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _y(value: float, low: int, high: int) -> float:
    share = (math.log10(value) - low) / (high - low)
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _x(position: int, panel: Panel) -> float:
    steps = max(1, len(panel.levels) - 1)
    return _LEFT + 8 + position * (WIDTH - _LEFT - _RIGHT - 16) / steps


def _grid(low: int, high: int) -> Iterator[str]:
    for power in range(low, high + 1):
        for step in (1, 2, 5) if power < high else (1,):
            value = step * 10.0**power
            y = _y(value, low, high)
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>\n'
            yield (
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                f"{value:g}</text>\n"
            )


def _axis(panel: Panel) -> Iterator[str]:
    title = f"ms, with {panel.kind} on the node"
    yield f'<text class="title" x="{_LEFT}" y="18">{title}</text>\n'
    for position, level in enumerate(panel.levels):
        x, y = _x(position, panel), HEIGHT - _BOTTOM + 18
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{level:,}</text>\n'


def _lines(panel: Panel, low: int, high: int) -> Iterator[str]:
    for line in panel.lines:
        points = [
            (_x(position, panel), _y(value, low, high))
            for position, value in enumerate(line.values)
            if value
        ]
        at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour, dash = _COLOURS[line.who], _DASHES[line.verb]
        yield f'<polyline points="{at}" stroke="{colour}"{dash}/>\n'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>\n'


def _legend(every: Sequence[Panel]) -> Iterator[str]:
    shown = dict.fromkeys((line.who, line.verb) for p in every for line in p.lines)
    for number, (who, verb) in enumerate(shown):
        x, y = _LEFT + 130 * (number // 2), HEIGHT - 24 + 16 * (number % 2)
        stroke = f'stroke="{_COLOURS[who]}"{_DASHES[verb]}'
        yield f'<path d="M{x} {y - 4}h28" stroke-width="2" {stroke}/>\n'
        yield f'<text x="{x + 34}" y="{y}">{who} {verb}</text>\n'
