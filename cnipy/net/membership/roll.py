# SPDX-License-Identifier: Apache-2.0
"""The list of a network's nodes, as somebody has it, and its way to a head.

Its hash is that of no order: a step costs as much as it changes. Whoever is on another
way than the head, or too far behind, begins at the snapshot.
"""

from __future__ import annotations

import hashlib
import zlib

from cni_common import shapes
from cni_common.shapes import REQUIRED
from cni_common.spec import json_text
from cnipy.net import documents, keys, ranges
from cnipy.net.documents import VERSION, RecordError
from cnipy.net.membership import steps
from cnipy.net.membership.steps import Head, Step
from cnipy.net.store import StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from cni_common.shapes import Table
    from cnipy.net.store import Store

    Change = tuple[str, dict[str, Any] | None]

_BITS = 128
_UNPACKED_MAX = 64 << 20  # bytes
_STEP_MAX = 1 << 19  # bytes
_SNAPSHOT: Table = {
    "generation": (ranges.identity, REQUIRED),
    "list": (steps.position, REQUIRED),
    "nodes": (shapes.listed(steps.node_and_document), REQUIRED),
}


class Roll:
    """Documents of nodes, as the store has them: whether they are to be believed is
    another question, and no part of the hash.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.documents: dict[str, str] = {}
        self._digest = 0

    @property
    def digest(self) -> str:
        """The hash of the list."""
        return f"{self._digest:0{_BITS // 4}x}"

    def copy(self) -> Roll:
        """Return the same list, to go on from."""
        made = Roll(self.number)
        made.documents = dict(self.documents)
        made._digest = self._digest
        return made

    def is_at(self, head: Head) -> bool:
        """Tell whether the list is that of a head."""
        return (self.number, self.digest) == (head.number, head.digest)

    def put(self, node: str, document: dict[str, Any] | None) -> None:
        """Set a node's document, or remove the node."""
        before = self.documents.pop(node, None)
        if before is not None:
            self._digest ^= _hash(node, before)
        if document is not None:
            self.documents[node] = text = json_text.dumps(document)
            self._digest ^= _hash(node, text)

    def step_to(
        self,
        number: int,
        generation: str,
        changes: Iterable[Change],
    ) -> Step:
        """Return the step from here to a list with some changes; this one stays."""
        changes = tuple(changes)
        later = self.copy()
        for node, document in changes:
            later.put(node, document)
        return Step(generation, self.number, self.digest, number, later.digest, changes)

    def follow(self, step: Step) -> bool:
        """Take a step; false, and nothing is changed, if it is none from here."""
        if (step.origin, step.before) != (self.number, self.digest):
            return False
        later = self.copy()
        for node, document in step.changes:
            later.put(node, document)
        if later.digest != step.after or step.number <= self.number:
            return False
        self.documents, self._digest = later.documents, later._digest  # noqa: SLF001 - of this class
        self.number = step.number
        return True

    def walk(self, found: Iterable[Step], head: Head) -> bool:
        """Take all steps to a head; tell whether they led there.

        What leads elsewhere, beside or behind them, leads nobody astray but by a hash.
        """
        onward: dict[int, list[Step]] = {}
        for step in found:
            if step.generation == head.generation and step.number <= head.number:
                onward.setdefault(step.origin, []).append(step)
        while not self.is_at(head):
            here = onward.pop(self.number, [])
            if not any(self.follow(step) for step in here):
                return False
        return True

    def differs(self, other: Roll) -> set[str]:
        """Return the nodes whose documents are not those of another list."""
        mine, theirs = self.documents.items(), other.documents.items()
        return {node for node, _ in mine ^ theirs}

    def changes_to(self, wanted: Roll) -> list[Change]:
        """Return what leads to another list, as much as a step can have."""
        changes: list[Change] = []
        room = _STEP_MAX
        for node in sorted(wanted.differs(self)):
            text = wanted.documents.get(node)
            room -= len(text or "") + len(node)
            if room < 0:
                break
            changes.append((node, json_text.loads(text) if text else None))
        return changes

    def pack(self, generation: str) -> bytes:
        """Return the list as the store has it; raises StoreError if it has no room."""
        nodes = [[node, json_text.loads(text)] for node, text in self.documents.items()]
        document = {
            "v": VERSION,
            "generation": generation,
            "list": [self.number, self.digest],
            "nodes": nodes,
        }
        packed = zlib.compress(json_text.dumps(document).encode(), 6)
        if len(packed) > steps.CONTENT_MAX:
            size = f"{len(nodes)} nodes have {len(packed)} bytes"
            raise StoreError(f"write a snapshot: {size}: more than fit in one value")
        return packed


def reach(store: Store, name: str, roll: Roll, head: Head) -> Roll:
    """Return the list of `head`, by the shortest way from `roll`, which stays.

    Raises RecordError if no way leads there, and StoreError.
    """
    later = roll.copy()
    if later.walk(head.steps, head):
        return later
    listed = store.list(keys.steps(name), stale=True)
    found = [*steps_of(name, {each.key: each.value for each in listed}), *head.steps]
    if later.walk(found, head):
        return later
    later = snapshot(store, name, head.generation)
    if later.walk(found, head):
        return later
    what = f"head of network {name}"
    raise RecordError(what, f"neither steps nor the snapshot lead to {head.number}")


def snapshot(store: Store, name: str, generation: str) -> Roll:
    """Return the list in the snapshot of a network; without one, an empty one.

    Raises RecordError, and StoreError.
    """
    entry = store.get(keys.snapshot(name))
    return unpacked(entry.value if entry else None, name, generation)


def unpacked(content: bytes | None, name: str, generation: str) -> Roll:
    """Return the list in the snapshot `content` of a network, an empty one for none and
    for that of another generation. Raises RecordError.
    """
    if content is None:
        return Roll()
    what = f"snapshot of network {name}"
    document = _inflated(content, what)
    found = documents.members(document, _SNAPSHOT, what)
    if found["generation"] != generation:
        return Roll()
    number, digest = found["list"]
    made = Roll(number)
    for node, of_node in found["nodes"]:
        made.put(node, of_node)
    if made.digest != digest:
        raise RecordError(what, "it has not the hash that it says")
    return made


def steps_of(name: str, values: Mapping[str, bytes]) -> list[Step]:
    """Return the steps among what the store has of a network, by key."""
    found = []
    for key, value in values.items():
        try:
            step = Step.parse(value, f"step {key}")
        except RecordError:
            continue  # what it was to say, the snapshot will
        if keys.step(name, step.number) == key:
            found.append(step)
    return found


def _inflated(content: bytes, what: str) -> object:
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(content, _UNPACKED_MAX)
        if inflating.unconsumed_tail or not inflating.eof:
            raise RecordError(what, f"it is cut off, or has more than {_UNPACKED_MAX}")
        return json_text.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise RecordError(what, str(error)) from error


def _hash(node: str, document: str) -> int:
    text = f"{node}\0{document}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=_BITS // 8).digest(), "big")
