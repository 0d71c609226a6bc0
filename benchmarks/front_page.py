# SPDX-License-Identifier: Apache-2.0
"""The rows of README.md that have figures: medians of a whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks import tables
from benchmarks.measurements import NONE, Name
from benchmarks.node import COLD, REFERENCE, SMALL, WARM
from benchmarks.steps import at_once, chain, growth, memory, traffic

if TYPE_CHECKING:
    from benchmarks.measurements import Measurements


class Cell(NamedTuple):
    """A text with braces where the medians of `names` are to stand."""

    text: str
    names: tuple[Name, ...]


def _plain(section: str, what: str, who: str, load: str = NONE) -> Cell:
    return Cell("{}", (Name(section, what, who, load),))


def _small(verb: str, text: str) -> Cell:
    return Cell(text, tuple(Name(chain.SECTION, verb, who) for who in (WARM, SMALL)))


def _grown(who: str, load: str, text: str = "{}") -> Cell:
    return Cell(text, (Name(growth.SECTION, "chain ADD", who, load),))


_AT_ONCE = at_once.SECTION, f"{at_once.CONTAINERS} ADD"
_SERVER = Name(memory.SECTION, memory.SERVER_RSS, WARM)
_BRIDGE = memory.SECTION, "bridge ADD"
_SAME = Cell("the same", ())
_MANY, _MOST = "5000 mappings", "60000 mappings"
# By the need that the row begins with: the reference, here cold, here warm.
_ROWS = {
    "attach a container with a published port": (
        *(_plain(chain.SECTION, "ADD", who) for who in (REFERENCE, COLD)),
        _small("ADD", "{} (small client {})"),
    ),
    "detach it": (
        *(_plain(chain.SECTION, "DEL", who) for who in (REFERENCE, COLD)),
        _small("DEL", "{} ({})"),
    ),
    f"attach {at_once.CONTAINERS} at once": tuple(
        _plain(*_AT_ONCE, who) for who in (REFERENCE, COLD, WARM)
    ),
    "attach where 60,000 addresses are leased": tuple(
        _grown(who, "60000 leases") for who in (REFERENCE, COLD, WARM)
    ),
    "attach where 5,000 ports are published": (
        _grown(REFERENCE, _MANY),
        _grown(COLD, _MOST, "{} (with 60,000)"),
        _grown(WARM, _MANY),
    ),
    "new connections with 5,000 published ports": (
        *(
            _plain(traffic.SECTION, traffic.CONNECT, who, _MANY)
            for who in (REFERENCE, COLD)
        ),
        _SAME,
    ),
    "one stream through a published port": (
        *(
            _plain(traffic.SECTION, traffic.STREAM, who, "1 mappings")
            for who in (REFERENCE, COLD)
        ),
        _SAME,
    ),
    "memory of a bridge ADD, at its peak": (
        *(_plain(*_BRIDGE, who) for who in (REFERENCE, COLD)),
        Cell("{}, and the server's {}", (Name(*_BRIDGE, WARM), _SERVER)),
    ),
}


def rows(found: Measurements) -> dict[str, str]:
    """Return the lines of the table by their needs, those that were measured."""
    return {
        need: f"| {' | '.join([need, *(_shown(found, cell) for cell in cells)])} |"
        for need, cells in _ROWS.items()
        if all(name in found.by_name for cell in cells for name in cell.names)
    }


def _shown(found: Measurements, cell: Cell) -> str:
    medians = (tables.median(found.by_name[name]) for name in cell.names)
    return cell.text.format(*medians)


def updated(page: str, found: Measurements) -> str:
    """Return the page with the lines that were measured in the place of theirs.

    Raises ValueError where the page has no line, or several, about a need.
    """
    lines = page.split("\n")
    for need, row in rows(found).items():
        (number,) = (
            n for n, each in enumerate(lines) if each.startswith(f"| {need} |")
        )
        lines[number] = row
    return "\n".join(lines)
