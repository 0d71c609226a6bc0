# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a list are believed: each by itself, and beside each other."""

from __future__ import annotations

from contextlib import suppress

from cni_common.spec import json_text
from cnipy.net.documents import RecordError
from cnipy.net.records import NodeRecord

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cnipy.net.records import NetworkConfig

    Thing = IPAddress | IPNetwork


class Peers:
    """The other nodes, as `own` sees them.

    Whoever is there stays: of two who say that they have one block or address, the
    later one is refused. One whose new record is refused stays what it was.
    """

    def __init__(self, config: NetworkConfig, own: NodeRecord) -> None:
        self._config = config
        self._own = own
        # Two blocks of a pool that overlap are the same: all have one size.
        mine: tuple[Thing, ...] = (*own.blocks, *own.underlay)
        self._holders: dict[Thing, str] = dict.fromkeys(mine, own.node)
        self.records: dict[str, NodeRecord] = {}
        self.refused: dict[str, RecordError] = {}

    def be(self, own: NodeRecord, documents: Mapping[str, str]) -> bool:
        """Have this node be `own` from now on: who has what it has is refused; tell
        whether that changed what is believed.
        """
        for each in (*self._own.blocks, *self._own.underlay):
            del self._holders[each]
        mine: tuple[Thing, ...] = (*own.blocks, *own.underlay)
        displaced = {self._holders[each] for each in mine if each in self._holders}
        for node in displaced:
            self._drop(node)
        self._own = own
        self._holders.update(dict.fromkeys(mine, own.node))
        return self.learn(displaced, documents) or bool(displaced)

    def learn(self, nodes: Iterable[str], documents: Mapping[str, str]) -> bool:
        """Have the nodes be as in `documents`, or gone; tell whether that changed what
        is believed.
        """
        pending = {*nodes, *self.refused} - {self._own.node}
        before = {node: self.records.get(node) for node in pending}
        for node in pending:
            self._drop(node)
        present = pending & documents.keys()
        for node in sorted(present, key=lambda each: (before[each] is None, each)):
            try:
                self._add(self._parsed(node, documents[node]))
            except RecordError as error:
                self.refused[node] = error
        for node in sorted(self.refused):
            self._add_again(before.get(node))
        return any(self.records.get(node) != was for node, was in before.items())

    def _parsed(self, node: str, document: str) -> NodeRecord:
        underlay = self._own.underlay
        return NodeRecord.of(json_text.loads(document), node, self._config, underlay)

    def _add(self, record: NodeRecord) -> None:
        things: tuple[Thing, ...] = (*record.blocks, *record.underlay)
        for each in things:
            holder = self._holders.get(each)
            if holder is not None:
                what = f"record of node {record.node} in network {self._config.name}"
                raise RecordError(what, f"{each} is that of node {holder}")
        self._holders.update(dict.fromkeys(things, record.node))
        self.records[record.node] = record

    def _add_again(self, record: NodeRecord | None) -> None:
        """Go on believing what a node said before, unless that is another's by now."""
        if record:
            with suppress(RecordError):
                self._add(record)

    def _drop(self, node: str) -> None:
        self.refused.pop(node, None)
        record = self.records.pop(node, None)
        if record:
            for each in (*record.blocks, *record.underlay):
                del self._holders[each]
