# SPDX-License-Identifier: Apache-2.0
"""What the nodes of a network wrote of themselves, as far as they have claimed it."""

from __future__ import annotations

from cni_common.spec.values import replace
from cnipy.net import keys
from cnipy.net.documents import RecordError
from cnipy.net.membership import claims
from cnipy.net.records import NodeRecord
from cnipy.net.store.mirror import Mirror

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPNetwork
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store


class Written:
    """The records that can be published, by node; `refused` says why others cannot, or
    not all of their blocks. `heads` are the numbers of heads that nodes say they saw.
    """

    def __init__(self, store: Store, config: NetworkConfig) -> None:
        self._config = config
        name = config.name
        self._nodes = Mirror(store, keys.nodes(name))
        self._blocks = Mirror(store, keys.blocks(name))
        self._underlays = Mirror(store, keys.underlays(name))
        self._parsed: dict[bytes, NodeRecord | RecordError] = {}
        self.records: dict[str, NodeRecord] = {}
        self.refused: dict[str, RecordError] = {}
        self.heads: set[int] = set()

    def refresh(self) -> None:
        """Read what is new; raises StoreError."""
        mirrors = (self._nodes, self._blocks, self._underlays)
        if not any([each.refresh() for each in mirrors]):  # noqa: C419 - each of them
            return
        before, self._parsed = self._parsed, {}
        self.records, self.refused, self.heads = {}, {}, set()
        prefix = keys.nodes(self._config.name)
        for key, content in self._nodes.values.items():
            node = key.removeprefix(prefix)
            found = before.get(content) or self._read(node, content)
            self._parsed[content] = found
            if isinstance(found, NodeRecord) and found.node == node:
                self._take(found)
            else:
                self.refused[node] = (
                    found
                    if isinstance(found, RecordError)
                    else RecordError(f"record of node {node}", "it is another node's")
                )

    def _read(self, node: str, content: bytes) -> NodeRecord | RecordError:
        try:
            return NodeRecord.parse(content, node, self._config)
        except RecordError as error:
            return error

    def _take(self, record: NodeRecord) -> None:
        """Add a record to the list, with those blocks that are its node's."""
        self.heads.add(record.head)
        name = self._config.name
        mine = claims.claimant_of(record).content()
        what = f"record of node {record.node} in network {name}"
        for address in record.underlay:
            if self._underlays.values.get(keys.underlay(name, address)) != mine:
                cause = f"underlay: {address} is not claimed by it"
                self.refused[record.node] = RecordError(what, cause)
                return
        blocks = tuple(each for each in record.blocks if self._is(each, mine))
        if blocks != record.blocks:
            others = ", ".join(str(each) for each in {*record.blocks} - {*blocks})
            cause = f"blocks: {others} not claimed by it"
            self.refused[record.node] = RecordError(what, cause)
        # What others do not need would have them hear of nothing.
        self.records[record.node] = replace(record, blocks=blocks, head=0)

    def _is(self, block: IPNetwork, mine: bytes) -> bool:
        return self._blocks.values.get(keys.block(self._config.name, block)) == mine
