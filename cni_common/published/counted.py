# SPDX-License-Identifier: Apache-2.0
"""What has passed by published ports that count, as the kernel tells."""

from __future__ import annotations

from cni_common import own_tables
from cni_common.kernel import nft
from cni_common.kernel.element_bytes import PROTOCOLS
from cni_common.published.claims import Port
from cni_common.published.elements import COUNTED, TABLE
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = {str(number): name for name, number in PROTOCOLS.items()}


class Count(NamedTuple):
    """What passed by a port of the host, one `way`, from or to an address behind it."""

    way: str
    port: Port
    address: str
    packets: int
    bytes: int


def read() -> Iterator[Count]:
    """Yield what each element has counted since it is there; raises Code.INTERNAL."""
    listed = nft.list_counted(f"list table {TABLE}")
    for way in COUNTED:
        for family in (4, 6):
            for each in own_tables.elements(listed, f"{way}{family}"):
                protocol, number, address = each.key
                port = Port(_NAMES.get(protocol, protocol), int(number))
                yield Count(way, port, address, each.packets, each.bytes)
