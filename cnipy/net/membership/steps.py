# SPDX-License-Identifier: Apache-2.0
"""Steps from one list of a network's nodes to the next, and the head, the last one.

Each list has a number and a hash. A step says from which it starts and to which it
leads, so that nobody takes one of another way. The head has as many of the last ones as
fit, which is enough for who polls.
"""

from __future__ import annotations

from cni_common import shapes
from cni_common.shapes import REQUIRED
from cni_common.spec import json_text
from cni_common.spec.values import dataclass
from cnipy.net import ranges
from cnipy.net.documents import VERSION, members, read
from cnipy.net.records import NUMBER_MAX

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any, Self

    from cni_common.shapes import Table

INLINE_MAX = 1500  # bytes of steps in a head: 5,000 nodes read it every 5 s
CONTENT_MAX = 1 << 20  # bytes
_FAR = 1 << 32  # heads: one a second makes as many in 136 years


@dataclass(frozen=True)
class Step:
    """What differs between two lists: a node's document, or None where it is gone."""

    generation: str
    origin: int
    before: str
    number: int
    after: str
    changes: tuple[tuple[str, dict[str, Any] | None], ...]

    def document(self) -> dict[str, Any]:
        """Return the step as JSON has it."""
        return {
            "v": VERSION,
            "generation": self.generation,
            "from": [self.origin, self.before],
            "to": [self.number, self.after],
            "changes": [list(each) for each in self.changes],
        }

    def content(self) -> bytes:
        """Return the step as the store has it."""
        return json_text.dumps(self.document()).encode()

    @classmethod
    def parse(cls, content: bytes, what: str) -> Self:
        """Return the step in a value of the store; raises RecordError."""
        return cls.of(read(content, what, CONTENT_MAX), what)

    @classmethod
    def of(cls, document: object, what: str) -> Self:
        """Return the step in a document; raises RecordError."""
        found = members(document, _STEP, what)
        (origin, before), (number, after) = found["from"], found["to"]
        return cls(found["generation"], origin, before, number, after, found["changes"])


@dataclass(frozen=True)
class Head:
    """The number and hash of a network's list of nodes, and the last steps to it."""

    generation: str
    number: int
    digest: str
    steps: tuple[Step, ...] = ()

    def content(self) -> bytes:
        """Return the head as the store has it, with the last steps that fit."""
        fitting: list[dict[str, Any]] = []
        room = INLINE_MAX
        for step in reversed(self.steps):
            room -= len(step.content())
            if room < 0:
                break
            fitting.insert(0, step.document())
        document = {
            "v": VERSION,
            "generation": self.generation,
            "list": [self.number, self.digest],
            "steps": fitting,
        }
        return json_text.dumps(document).encode()

    @classmethod
    def parse(cls, content: bytes, network: str) -> Self:
        """Return the head of a network; raises RecordError."""
        what = f"head of network {network}"
        found = members(read(content, what, CONTENT_MAX), _HEAD, what)
        number, digest = found["list"]
        steps = tuple(Step.of(each, what) for each in found["steps"])
        return cls(found["generation"], number, digest, steps)


def is_far(seen: int, number: int) -> bool:
    """Tell whether nobody who saw a head of the number `seen` counts to `number`, or
    from there: it is forged.
    """
    return abs(number - seen) > _FAR


def position(value: object) -> tuple[int, str]:
    """Return the number and the hash of a list."""
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - these two
        raise ValueError(f"{value!r:.40} is not a number and a hash")
    return _NUMBER(value[0]), ranges.identity(value[1])


def node_and_document(value: object) -> tuple[str, dict[str, Any] | None]:
    """Return a node with its document, or None where it is gone."""
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - these two
        raise ValueError(f"{value!r:.40} is not a node and its record")
    return ranges.label(value[0]), shapes.optional(shapes.mapping)(value[1])


_NUMBER = ranges.within(0, NUMBER_MAX + 1)
_HEAD: Table = {
    "generation": (ranges.identity, REQUIRED),
    "list": (position, REQUIRED),
    "steps": (shapes.listed(shapes.mapping), ()),
}
_STEP: Table = {
    "generation": (ranges.identity, REQUIRED),
    "from": (position, REQUIRED),
    "to": (position, REQUIRED),
    "changes": (shapes.listed(node_and_document), ()),
}
