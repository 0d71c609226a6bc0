# SPDX-License-Identifier: Apache-2.0
"""What records of attachments by a veth pair have in common."""

from __future__ import annotations

from cni_common import shapes
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPNetwork


TABLE: Table = {
    "netns": (shapes.text, ""),
    "netnsIdentity": (shapes.text, ""),
    "ipam": (shapes.text, ""),
    "hostVeth": (shapes.link, ""),
    "hostMac": (shapes.mac, ""),
    "masquerade": (shapes.listed(shapes.network), ()),
    "routes": (shapes.listed(shapes.ROUTE), ()),
    "complete": (shapes.flag, False),
}


@dataclass(frozen=True, kw_only=True)
class PairRecord:
    """What ADD does: the namespace it does it in, the host's end, rules, routes.

    `ipam` is the plugin that gave the addresses, `routes` are documents of the
    result, with all their fields. A record that is not `complete` tells of an ADD
    that was killed.
    """

    netns: str
    netns_identity: str
    ipam: str
    host_veth: str
    host_mac: str
    masquerade: tuple[IPNetwork, ...] = ()
    routes: tuple[dict[str, Any], ...] = ()
    complete: bool = False

    def document(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return {
            "netns": self.netns,
            "netnsIdentity": self.netns_identity,
            "ipam": self.ipam,
            "hostVeth": self.host_veth,
            "hostMac": self.host_mac,
            "masquerade": [str(network) for network in self.masquerade],
            "routes": list(self.routes),
            "complete": self.complete,
        }

    @staticmethod
    def members(document: dict[str, Any]) -> dict[str, Any]:
        """Return the members above, by name, of what was read by TABLE."""
        return {
            "netns": document["netns"],
            "netns_identity": document["netnsIdentity"],
            "ipam": document["ipam"],
            "host_veth": document["hostVeth"],
            "host_mac": document["hostMac"],
            "masquerade": document["masquerade"],
            "routes": document["routes"],
            "complete": document["complete"],
        }
