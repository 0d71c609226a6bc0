# SPDX-License-Identifier: Apache-2.0
"""Bridges and their ports (Documentation/networking/bridge.rst, bridge(8))."""

from __future__ import annotations

import errno

from cni_common.kernel import links, pyroute2_messages
from cni_common.kernel.attributes import Attributes, attribute, text
from cni_common.kernel.link_answer import (
    BODY,
    BR_VLAN_FILTERING,
    IFNAME,
    INFO_DATA,
    LINKINFO,
)
from cni_common.kernel.links import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError, Code, refused
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


def add(  # noqa: PLR0913 - what a bridge has from the start
    netlink: Netlink,
    name: str,
    mac: str,
    *,
    mtu: int = 0,
    vlan_filtering: bool = False,
    alias: str = "",
) -> bool:
    """Ensure a bridge called `name`, up; tell whether it was made by this call.

    Its address is given at creation, so that no port and no udev rule changes it.
    Raises Code.INTERNAL when the kernel will not.
    """
    options = [attribute(BR_VLAN_FILTERING, b"\1")] if vlan_filtering else []
    try:
        links.add(netlink, name, "bridge", *options, mac=mac, mtu=mtu)
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            return False
        if error.errno == errno.EOPNOTSUPP and vlan_filtering:
            error.strerror = "no VLAN filtering in this kernel"
        raise refused(f"add bridge {name}", error) from error
    if alias:
        links.set_alias(netlink, name, alias)
    return True


def existing(netlink: Netlink, name: str) -> Link:
    """Return the bridge `name`; raises Code.INTERNAL when that is no bridge."""
    link = links.existing(netlink, name)
    if link.kind != "bridge":
        msg = f'use bridge {name}: "{name}" already exists but is not a bridge'
        raise CNIError(Code.INTERNAL, msg)
    return link


def option(netlink: Netlink, name: str, kind: int) -> int:
    """Return the option `kind` of the bridge `name` (IFLA_BR_*, linux/if_link.h).

    Raises Code.INTERNAL.
    """
    message = LinkRequest(text(IFNAME, name), links.WITHOUT_STATISTICS)
    try:
        found: _OptionsAnswer = netlink.get(message, RTM_GETLINK, _OptionsAnswer)
    except NetlinkError as error:
        raise refused(f"look at bridge {name}", error) from error
    return found.options.number(kind)


def set_option(netlink: Netlink, name: str, *options: bytes) -> None:
    """Give the bridge `name` the `options`, attributes of its kind.

    Raises Code.INTERNAL.
    """
    message = LinkRequest(text(IFNAME, name), links.described("bridge", *options))
    try:
        netlink.act((message, RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set bridge {name}", error) from error


class _OptionsAnswer:
    """A message about a bridge, to be decoded into `options`."""

    options: Attributes

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the options."""
        link = Attributes(self._message, BODY)
        self.options = link.nested(LINKINFO).nested(INFO_DATA)


def set_port(netlink: Netlink, name: str, *, hairpin: bool, isolated: bool) -> None:
    """Give the port `name` of a bridge these flags (bridge(8), "hairpin")."""
    flags = [
        ("IFLA_BRPORT_MODE", int(hairpin)),
        ("IFLA_BRPORT_ISOLATED", int(isolated)),
    ]
    message = pyroute2_messages.ifinfmsg()
    message["attrs"] = [
        ("IFLA_IFNAME", name),
        (
            "IFLA_LINKINFO",
            {
                "attrs": [
                    ("IFLA_INFO_SLAVE_KIND", "bridge"),
                    ("IFLA_INFO_SLAVE_DATA", {"attrs": flags}),
                ]
            },
        ),
    ]
    try:
        netlink.act((message, RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set bridge port {name}", error) from error


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
