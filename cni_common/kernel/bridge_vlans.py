# SPDX-License-Identifier: Apache-2.0
"""VLANs of the ports of bridges (bridge(8)), for which some keys ask."""

from __future__ import annotations

from cni_common.kernel import pyroute2_messages
from cni_common.kernel.links import RTM_DELLINK, RTM_GETLINK, RTM_SETLINK
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.kernel.link_answer import Link

_AF_BRIDGE = 7
_PVID, _UNTAGGED = 0x2, 0x4  # BRIDGE_VLAN_INFO_*
_WITH_VLANS = 0x2  # RTEXT_FILTER_BRVLAN
DEFAULT_VLAN = 1


@dataclass(frozen=True)
class PortVlans:
    """VLANs of a port: `pvid` for what arrives untagged, 0 for none."""

    pvid: int
    untagged: frozenset[int]
    tagged: frozenset[int]


def add_vlans(
    netlink: Netlink, port: Link, tagged: Iterable[int], *, pvid: int = 0
) -> None:
    """Add to the port the VLANs `tagged`, and `pvid` untagged."""
    entries = [_vlan(vid, 0) for vid in sorted(set(tagged) - {pvid})]
    if pvid:
        entries.append(_vlan(pvid, _PVID | _UNTAGGED))
    _change_vlans(netlink, port, RTM_SETLINK, entries, "add")


def delete_vlans(netlink: Netlink, port: Link, vids: Iterable[int]) -> None:
    """Delete the VLANs `vids` of the port."""
    entries = [_vlan(vid, 0) for vid in sorted(vids)]
    _change_vlans(netlink, port, RTM_DELLINK, entries, "delete")


def vlans(netlink: Netlink, port: Link) -> PortVlans:
    """Return the VLANs of `port`."""
    message = pyroute2_messages.ifinfmsg()
    message["family"] = _AF_BRIDGE
    message["attrs"] = [("IFLA_EXT_MASK", _WITH_VLANS)]
    pvid = 0
    untagged: set[int] = set()
    tagged: set[int] = set()
    try:
        answers = netlink.dump(message, RTM_GETLINK, pyroute2_messages.ifinfmsg)
    except NetlinkError as error:
        raise refused(f"list VLANs of bridge port {port.name}", error) from error
    for answer in answers:
        if answer["index"] != port.index:
            continue
        # A port that carries none has no such attribute.
        specification = answer.get_attr("IFLA_AF_SPEC")
        found = (
            specification.get_attrs("IFLA_BRIDGE_VLAN_INFO") if specification else []
        )
        for entry in found:
            vid, flags = entry["vid"], entry["flags"]
            (untagged if flags & _UNTAGGED else tagged).add(vid)
            if flags & _PVID:
                pvid = vid
    return PortVlans(pvid, frozenset(untagged), frozenset(tagged))


def _vlan(vid: int, flags: int) -> tuple[str, dict[str, int]]:
    return ("IFLA_BRIDGE_VLAN_INFO", {"flags": flags, "vid": vid})


def _change_vlans(
    netlink: Netlink, port: Link, kind: int, entries: list[Any], verb: str
) -> None:
    if not entries:
        return
    message = pyroute2_messages.ifinfmsg()
    message["family"] = _AF_BRIDGE
    message["index"] = port.index
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": entries})]
    try:
        netlink.act((message, kind, 0))
    except NetlinkError as error:
        what = f"VLANs of bridge port {port.name}"
        raise refused(f"{verb} {what}", error) from error
