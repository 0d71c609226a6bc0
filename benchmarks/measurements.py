# SPDX-License-Identifier: Apache-2.0
"""What was measured: every value under the name of what it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from benchmarks.spread import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = "none"
# Units: seconds of time, KiB of memory or files, instructions, connections or bytes a
# second.
SECONDS, KIB, INSTRUCTIONS = "s", "KiB", "instructions"
PER_SECOND, BYTES = "connections/s", "bytes/s"


class Name(NamedTuple):
    """What a measurement is about.

    who: "cold", "warm", "warm, small client", "reference", "netavark" or "python".
    load: what is on the node meanwhile, as "5000 leases", or "none".
    """

    section: str
    what: str
    who: str
    load: str = NONE


@dataclass
class Measurement:
    """Values of one kind; `cpu` has as many, or none where CPU time has no meaning."""

    unit: str = SECONDS
    values: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall(self) -> Spread:
        """The spread of the values."""
        return spread(self.values)

    @property
    def cpu_median(self) -> float | None:
        """The median CPU time in seconds, or None where it was not counted."""
        return spread(self.cpu).median if any(self.cpu) else None


class Measurements:
    """All measurements of a run, in the order in which they first appeared."""

    def __init__(self) -> None:
        self.by_name: dict[Name, Measurement] = {}

    def add(
        self, name: Name, value: float, cpu: float | None = None, unit: str = SECONDS
    ) -> None:
        """Note one more value of `name`."""
        found = self.by_name.setdefault(name, Measurement(unit))
        found.values.append(value)
        if cpu is not None:
            found.cpu.append(cpu)

    @classmethod
    def read(cls, document: list[dict[str, Any]]) -> Self:
        """Return what `document` made JSON values of."""
        found = cls()
        for each in document:
            name = Name(*(each[part] for part in Name._fields))
            values = Measurement(each["unit"], each["values"], each["cpu"])
            found.by_name[name] = values
        return found

    def wall(self, name: Name) -> float | None:
        """Return the median of the values of `name`, or None when there is none."""
        found = self.by_name.get(name)
        return found.wall.median if found else None

    def cpu(self, name: Name) -> float | None:
        """Return the median CPU time of `name`, or None when there is none."""
        found = self.by_name.get(name)
        return found.cpu_median if found else None

    def sections(self) -> list[str]:
        """Return the different sections, in their order."""
        return list(dict.fromkeys(name.section for name in self.by_name))

    def distinct(self, section: str, part: Callable[[Name], str]) -> list[str]:
        """Return the different `part`s of the names in `section`, in their order."""
        names = [name for name in self.by_name if name.section == section]
        return list(dict.fromkeys(part(name) for name in names))

    def document(self) -> list[dict[str, Any]]:
        """Return everything as JSON values, each value included."""
        return [
            {
                **name._asdict(),
                "unit": found.unit,
                **found.wall._asdict(),
                "cpu_median": found.cpu_median,
                "values": [round(value, 7) for value in found.values],
                "cpu": [round(value, 7) for value in found.cpu],
            }
            for name, found in self.by_name.items()
        ]
