# SPDX-License-Identifier: Apache-2.0
"""The figures to reach: ratios within one run, each with its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measurements import Name
from benchmarks.node import COLD, NETAVARK, REFERENCE, SMALL, WARM
from benchmarks.single import ASKED, PLUGINS
from benchmarks.steps import (
    at_once,
    calls,
    chain,
    directory,
    growth,
    instructions,
    memory,
    status,
    traffic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.measurements import Measurements

_WALL, _CPU = "wall", "CPU"
# Whose chain, beside whose: verb, wall or CPU, and the most that the ratio may be.
_BESIDE = (
    (COLD, REFERENCE, (("ADD", _WALL, 1.5), ("ADD", _CPU, 1.5), ("DEL", _WALL, 0.6))),
    (WARM, REFERENCE, (("ADD", _WALL, 0.45), ("DEL", _WALL, 0.2))),
    (SMALL, REFERENCE, (("ADD", _WALL, 0.3), ("DEL", _WALL, 0.12))),
    (WARM, REFERENCE, (("ADD", _CPU, 0.6), ("DEL", _CPU, 0.4))),
    (WARM, NETAVARK, (("ADD", _WALL, 0.8), ("DEL", _WALL, 0.5))),
    (SMALL, NETAVARK, (("ADD", _WALL, 0.4),)),
)
_MILLIONS = {"ADD": 230, "DEL": 180}
_AT_ONCE = {COLD: 1.0, WARM: 0.5}
_STATUS = 8
_SERVER_MIB, _PACKED_MB = 25, 2.5
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
        *_beside(found),
        *_directory(found),
        *_instructions(found),
        *_at_once(found),
        _status(found),
        *_starts(found),
        *_loads(found),
        _connections(found),
        *_sizes(found),
    ]


def ratio(found: Measurements, name: Name, to: Name, *, cpu: bool) -> float | None:
    """Return the ratio of two medians, or None when one is missing."""
    of = found.cpu if cpu else found.wall
    above, below = of(name), of(to)
    return above / below if above is not None and below else None


def _beside(found: Measurements) -> Iterable[Figure]:
    for who, peer, limits in _BESIDE:
        for verb, kind, limit in limits:
            names = [Name(chain.SECTION, verb, each) for each in (who, peer)]
            measured = ratio(found, *names, cpu=kind == _CPU)
            yield Figure(f"chain {verb} {who}, {kind}, to {peer}", limit, measured)


def _directory(found: Measurements) -> Iterable[Figure]:
    for plugin in directory.PLUGINS:
        names = [Name(directory.SECTION, f"{plugin} ADD", w) for w in (COLD, REFERENCE)]
        measured = ratio(found, *names, cpu=False)
        yield Figure(f"{plugin} ADD cold, wall, to reference", 1.5, measured)


def _instructions(found: Measurements) -> Iterable[Figure]:
    for verb, limit in _MILLIONS.items():
        count = found.wall(Name(instructions.SECTION, f"chain {verb}", COLD))
        what = f"instructions of a cold chain {verb}, millions"
        yield Figure(what, limit, None if count is None else count / 1e6)


def _at_once(found: Measurements) -> Iterable[Figure]:
    what = f"{at_once.CONTAINERS} ADD"
    for who, limit in _AT_ONCE.items():
        names = [Name(at_once.SECTION, what, each) for each in (who, REFERENCE)]
        measured = ratio(found, *names, cpu=False)
        yield Figure(f"{what}s at once, {who}, wall, to reference", limit, measured)


def _status(found: Measurements) -> Figure:
    ratios = []
    for plugin in ASKED:
        whose = (COLD, status.VERSION_OF_REFERENCE)
        names = [Name(status.SECTION, plugin, who) for who in whose]
        ratios.append(ratio(found, *names, cpu=True))
    what = "STATUS cold, slowest plugin, CPU, to VERSION of reference"
    return Figure(what, _STATUS, _largest(ratios))


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


def _sizes(found: Measurements) -> Iterable[Figure]:
    packed = found.wall(Name(memory.SECTION, memory.PACKED, COLD))
    megabytes = None if packed is None else packed * 1024 / 1e6
    yield Figure("packed file, MB", _PACKED_MB, megabytes)
    resident = found.wall(Name(memory.SECTION, memory.SERVER_RSS, WARM))
    mib = None if resident is None else resident / 1024
    yield Figure("resident memory of the warm server, MiB", _SERVER_MIB, mib)


def _largest(ratios: list[float | None]) -> float | None:
    known = [each for each in ratios if each is not None]
    return max(known) if known else None
