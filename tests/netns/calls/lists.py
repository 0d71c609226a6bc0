# SPDX-License-Identifier: Apache-2.0
"""Lists of plugins, called in the order in which a runtime calls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netns.bandwidth.helpers import limits
from netns.bridge.helpers import DUAL, conf
from netns.macvlan.helpers import conf as macvlan

if TYPE_CHECKING:
    from lab import Cni, Space

Document = dict[str, Any]
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
# Without what is the same in all of a list: version, name, prevResult.
CHAINS: dict[str, list[Document]] = {
    "bridge": [
        conf(ipam=DUAL, ipMasq=True, macspoofchk=True),
        {"type": "bandwidth", **limits()},
        {"type": "firewall", "backend": "nftables"},
        {"type": "portmap", "runtimeConfig": {"portMappings": [PORT]}},
        {"type": "tuning", "mtu": 1400},
    ],
    "ptp": [{"type": "ptp", "ipMasq": True, "ipam": DUAL}],
    "macvlan": [macvlan(), {"type": "tuning", "promisc": True}],
    "host-device": [{"type": "host-device", "device": "ens5", "ipam": DUAL}],
}


@dataclass
class Chain:
    """A list attached to a container; `name` may change between the calls."""

    cni: Cni
    plugins: list[Document]
    name: str = "net"
    result: Document = field(default_factory=dict)

    def add(self, space: Space, **options: Any) -> None:
        """Have the container attached by every plugin."""
        for plugin in self.plugins:
            document = self._document(plugin)
            answer = self.cni.ok(
                plugin["type"], "ADD", document, netns=space, **options
            )
            self.result = answer

    def delete(self, netns: str | Space = "", **options: Any) -> None:
        """Have the container detached, in the opposite order."""
        for plugin in reversed(self.plugins):
            document = self._document(plugin)
            self.cni.ok(plugin["type"], "DEL", document, netns=netns, **options)

    def _document(self, plugin: Document) -> Document:
        whole = {"cniVersion": "1.1.0", **plugin, "name": self.name}
        return {**whole, "prevResult": self.result} if self.result else whole
