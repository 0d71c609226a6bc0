# SPDX-License-Identifier: Apache-2.0
"""What the store has of containers: by name their addresses, by address their names.

Nodes wrote it, each of its own containers. So it is checked before it is answered with:
a name leads into the network's pools only, and an address to names of its domain.
"""

from __future__ import annotations

from cni_common import shapes
from cni_common.names.host_names import is_host_name
from cni_common.shapes import REQUIRED
from cni_common.spec import json_text
from cni_common.spec.values import dataclass
from cnipy.net import documents, ranges
from cnipy.net.documents import VERSION, RecordError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any, Self

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress
    from cnipy.net.records import NetworkConfig, NodeRecord

_CONTENT_MAX = 1 << 14  # bytes
MANY = 64  # addresses of a name, or names of an address


@dataclass(frozen=True)
class Entry:
    """What `node` says; `identity` tells nodes of one name apart."""

    node: str
    identity: str
    addresses: tuple[IPAddress, ...] = ()
    names: tuple[str, ...] = ()

    def content(self) -> bytes:
        """Return it as the store has it."""
        document = {
            "v": VERSION,
            "node": self.node,
            "identity": self.identity,
            "addresses": [str(each) for each in self.addresses],
            "names": list(self.names),
        }
        return json_text.dumps(document).encode()

    def is_of(self, node: NodeRecord) -> bool:
        """Tell whether it is that node who says it."""
        return (self.node, self.identity) == (node.node, node.identity)

    @classmethod
    def parse(cls, content: bytes, key: str, config: NetworkConfig) -> Self:
        """Return what the store has at `key`; raises RecordError."""
        document = documents.read(content, key, _CONTENT_MAX)
        found = cls(**documents.members(document, _ENTRY, key))
        return found._checked(key, config)

    def _checked(self, key: str, config: NetworkConfig) -> Self:
        for address in self.addresses:
            if not in_pools(address, config):
                raise RecordError(key, f"addresses: {address} is in no pool")
        for name in self.names:
            if not is_host_name(name) or not name.endswith(f".{config.domain}"):
                raise RecordError(key, f"names: {name!r:.80} is none of the domain")
        if len(self.addresses) > MANY or len(self.names) > MANY:
            raise RecordError(key, f"it has more than {MANY}")
        return self


def in_pools(address: IPAddress, config: NetworkConfig) -> bool:
    """Tell whether an address can be a container's of the network."""
    pool = config.pool(address.version)
    return pool is not None and address in pool.network


def keys_of(content: bytes) -> tuple[str, ...]:
    """Return the keys that a node noted as written by it; none of a damaged note."""
    try:
        return _KEYS(shapes.mapping(json_text.loads(content)).get("keys"))  # type: ignore[no-any-return]  # a shape returns anything
    except (ValueError, RecursionError):
        return ()


def note(keys: list[str], node: NodeRecord) -> bytes:
    """Return the note of what a node has written."""
    document: dict[str, Any] = {"v": VERSION, "identity": node.identity, "keys": keys}
    return json_text.dumps(document).encode()


_KEYS = shapes.listed(shapes.text)
_ENTRY: Table = {
    "node": (ranges.label, REQUIRED),
    "identity": (ranges.identity, REQUIRED),
    "addresses": (shapes.listed(shapes.address), ()),
    "names": (shapes.listed(shapes.text), ()),
}
