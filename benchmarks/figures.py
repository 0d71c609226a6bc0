# SPDX-License-Identifier: Apache-2.0
"""The figures to reach: ratios within one run, each with its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measurements import NONE, Name
from benchmarks.node import COLD, NETAVARK, REFERENCE, WARM
from benchmarks.single import PLUGINS
from benchmarks.steps import at_once, calls, chain, growth, memory, traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.measurements import Measurements

_SERVER_MIB = 60
# Of new connections a second, of those with one mapping.
_KEPT = 0.95


class Figure(NamedTuple):
    """A limit and what was measured, None where that step did not run.

    `at_least` limits are from below; the others from above.
    """

    what: str
    limit: float
    measured: float | None
    at_least: bool = False

    @property
    def reached(self) -> str:
        """Return "yes", "no" or "not measured"."""
        if self.measured is None:
            return "not measured"
        if self.at_least:
            return "yes" if self.measured >= self.limit else "no"
        return "yes" if self.measured <= self.limit else "no"


def figures(found: Measurements) -> list[Figure]:
    """Return all figures, as far as they were measured."""
    return [
        *_beside(found, WARM, REFERENCE, {"ADD": (0.6, 0.6), "DEL": (0.5, 0.4)}),
        *_beside(found, WARM, NETAVARK, {"ADD": (0.8, None), "DEL": (0.5, None)}),
        *_beside(found, COLD, REFERENCE, {"ADD": (3.0, None), "DEL": (1.5, None)}),
        _at_once(found),
        *_starts(found),
        *_loads(found),
        _connections(found),
        _server(found),
    ]


def ratio(found: Measurements, name: Name, to: Name, *, cpu: bool) -> float | None:
    """Return the ratio of two medians, or None when one is missing."""
    of = found.cpu if cpu else found.wall
    above, below = of(name), of(to)
    return above / below if above is not None and below else None


def _beside(
    found: Measurements,
    who: str,
    peer: str,
    limits: dict[str, tuple[float, float | None]],
) -> Iterable[Figure]:
    for verb, (wall, cpu) in limits.items():
        for limit, kind in ((wall, "wall"), (cpu, "CPU")):
            if limit is None:
                continue
            names = [Name(chain.SECTION, verb, each) for each in (who, peer)]
            measured = ratio(found, *names, cpu=kind == "CPU")
            what = f"chain {verb} {who}, {kind}, to {peer}"
            yield Figure(what, limit, measured)


def _at_once(found: Measurements) -> Figure:
    what = f"{at_once.CONTAINERS} ADD"
    names = [Name(at_once.SECTION, what, who) for who in (WARM, REFERENCE)]
    measured = ratio(found, *names, cpu=False)
    return Figure(f"{what}s at once, warm, wall, to reference", 0.5, measured)


def _starts(found: Measurements) -> Iterable[Figure]:
    bare = Name(calls.SECTION, calls.BARE, "python")
    for who in (COLD, WARM):
        names = [Name(calls.SECTION, f"{each} VERSION", who) for each in PLUGINS]
        ratios = [ratio(found, name, bare, cpu=False) for name in names]
        measured = _largest(ratios)
        yield Figure(f"VERSION {who}, slowest plugin, to bare Python", 1.5, measured)
    nothing = ratio(found, Name(calls.SECTION, calls.NOTHING, WARM), bare, cpu=False)
    yield Figure("warm call that does nothing, to bare Python", 1.5, nothing)


def _loads(found: Measurements) -> Iterable[Figure]:
    for kind, count in (("leases", 60000), ("mappings", 20000), ("containers", 900)):
        for verb in ("ADD", "DEL"):
            what = f"chain {verb}"
            loaded, empty = (
                Name(growth.SECTION, what, WARM, f"{number} {kind}")
                for number in (count, 0)
            )
            measured = ratio(found, loaded, empty, cpu=False)
            yield Figure(f"{what} warm with {count:,} {kind}, to none", 1.3, measured)


def _connections(found: Measurements) -> Figure:
    many, one = (
        Name(traffic.SECTION, traffic.CONNECT, COLD, f"{number} mappings")
        for number in (5000, 1)
    )
    measured = ratio(found, many, one, cpu=False)
    what = "new connections a second with 5,000 mappings, to 1"
    return Figure(what, _KEPT, measured, at_least=True)


def _server(found: Measurements) -> Figure:
    resident = found.wall(Name(memory.SECTION, memory.SERVER_RSS, WARM, NONE))
    mib = None if resident is None else resident / 1024
    return Figure("resident memory of the warm server, MiB", _SERVER_MIB, mib)


def _largest(ratios: list[float | None]) -> float | None:
    known = [each for each in ratios if each is not None]
    return max(known) if known else None
