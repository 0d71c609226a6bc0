# SPDX-License-Identifier: Apache-2.0
"""The VLANs that a port of a bridge carries (bridge(8), "vlan")."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.kernel import bridge_vlans
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName


@dataclass(frozen=True, kw_only=True)
class PortVlans(Part):
    """`port` of `bridge` carries the VLANs `tagged`, and `pvid` untagged if not 0.

    Others go, unless `keeps_default`.
    """

    port: LinkName
    bridge: LinkName
    pvid: Bits32 = 0
    tagged: tuple[int, ...] = ()
    keeps_default: bool = False

    def __str__(self) -> str:
        """Return the sentence."""
        carried = [f"{self.pvid} untagged"] if self.pvid else []
        carried += [f"{_listed(self.tagged)} tagged"] if self.tagged else []
        return f"bridge port {self.port} carries VLAN {', '.join(carried) or 'none'}"

    def ensure(self, node: Node) -> None:
        """Ensure the port carries these VLANs; raises Code.INTERNAL."""
        bridge = node.link(self.bridge)
        if not bridge.vlan_filtering:
            msg = f"set VLANs of bridge port {self.port}"
            cause = f"bridge {bridge.name} has VLAN filtering off"
            raise CNIError(Code.INTERNAL, f"{msg}: {cause}")
        port = node.link(self.port)
        if not self.keeps_default:
            present = bridge_vlans.vlans(node.host, port)
            bridge_vlans.delete_vlans(
                node.host, port, present.untagged | present.tagged
            )
        bridge_vlans.add_vlans(node.host, port, self.tagged, pvid=self.pvid)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the VLANs that the port lacks."""
        present = bridge_vlans.vlans(node.host, node.link(self.port))
        missing = sorted(set(self.tagged) - present.tagged)
        if self.pvid not in {0, present.pvid}:
            missing = [self.pvid, *missing]
        if missing:
            carried = _listed(sorted(present.untagged | present.tagged))
            own = f", of which {present.pvid} untagged" if present.pvid else ""
            what = f"check bridge port {self.port}: it lacks VLAN {_listed(missing)}"
            yield Difference(what, f"it has {carried or 'none'}{own}")


def _listed(vids: tuple[int, ...] | list[int]) -> str:
    return ", ".join(str(vid) for vid in vids)
