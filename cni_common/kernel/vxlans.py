# SPDX-License-Identifier: Apache-2.0
"""VXLAN devices (RFC 7348), and those of VXLAN-GPE, which carry IP without Ethernet.

None learns: who is where is told to the kernel (ip-link(8), linux/if_link.h).
"""

from __future__ import annotations

import errno
import ipaddress
import struct

from cni_common.kernel import links, upper_links
from cni_common.kernel.attributes import Attributes, attribute, number, pairs
from cni_common.kernel.netlink import NetlinkError
from cni_common.kernel.raw_netlink import NESTED
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.spec.errors import refused
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.route_answer import IPAddress

KIND = "vxlan"
_ID, _LOCAL, _LEARNING, _PORT, _LOCAL6 = 1, 4, 7, 15, 17  # IFLA_VXLAN_*
_EXTERNAL, _GPE, _VNIFILTER = 25, 27, 30
_SHORT = struct.Struct(">H")
_ADDRESS = {4: _LOCAL, 6: _LOCAL6}
_RTM_NEWTUNNEL, _RTM_GETTUNNEL = 120, 122
_TUNNEL_MSG = struct.Struct("=BxxxI")  # family and link of struct tunnel_msg
_ENTRY, _ENTRY_START = 1, 1  # VXLAN_VNIFILTER_ENTRY, VXLAN_VNIFILTER_ENTRY_START
_AF_BRIDGE = 7


class Vxlan(NamedTuple):
    """What a device is: of Ethernet, or of GPE without a `local` address.

    One of Ethernet sends from `local`, and has its version of IP below alone. One of
    GPE has a `vni` of 0 where the kernel lets it have packets of every identifier.
    """

    vni: int
    port: int
    local: IPAddress | None = None


def add(netlink: Netlink, name: str, vxlan: Vxlan, *, mac: str, mtu: int) -> None:
    """Add a device that is down.

    One of GPE takes packets of its network identifier alone where the kernel knows how
    (5.18), so that others can have the same port. Raises NetlinkError.
    """
    options = _ethernet(vxlan) if vxlan.local else _gpe(vxlan)
    try:
        links.add(netlink, name, KIND, *options, mac=mac, mtu=mtu, up=False)
        _filter(netlink, name, vxlan)
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            whose = f"VXLAN {vxlan.vni} on" if vxlan.local else "all of"
            error.strerror = f"a link has {whose} port {vxlan.port}"
        raise


def of_link(netlink: Netlink, link: Link) -> Vxlan | None:
    """Return what `link` is, or None for a VXLAN that is made in another way.

    Raises Code.INTERNAL.
    """
    found = upper_links.options(netlink, link.name, KIND)
    if found is None or found.number(_LEARNING):
        return None
    (port,) = _SHORT.unpack(found.raw(_PORT).rjust(2, b"\0"))
    local = found.raw(_LOCAL) or found.raw(_LOCAL6)
    if found.number(_EXTERNAL):
        # A device of GPE has no hardware address.
        vni = _filtered(netlink, link) if found.number(_VNIFILTER) else 0
        return None if link.mac or vni is None else Vxlan(vni, port)
    if not local:
        return None
    return Vxlan(found.number(_ID), port, ipaddress.ip_address(local))


def _ethernet(vxlan: Vxlan) -> tuple[bytes, ...]:
    local = vxlan.local
    return (
        number(_ID, vxlan.vni),
        attribute(_ADDRESS[local.version], local.packed) if local else b"",
        attribute(_LEARNING, b"\0"),
        attribute(_PORT, _SHORT.pack(vxlan.port)),
    )


def _gpe(vxlan: Vxlan) -> tuple[bytes, ...]:
    return (
        attribute(_EXTERNAL, b"\1"),
        attribute(_GPE),
        attribute(_VNIFILTER, b"\1"),  # what a kernel does not know it passes over
        attribute(_LEARNING, b"\0"),
        attribute(_PORT, _SHORT.pack(vxlan.port)),
    )


def _filter(netlink: Netlink, name: str, vxlan: Vxlan) -> None:
    """Have a device of GPE take the packets of its identifier, if it takes some only.

    Raises NetlinkError.
    """
    found = upper_links.options(netlink, name, KIND)
    if vxlan.local is not None or not (found and found.number(_VNIFILTER)):
        return
    index = links.existing(netlink, name).index
    entry = attribute(_ENTRY | NESTED, number(_ENTRY_START, vxlan.vni))
    body = _TUNNEL_MSG.pack(_AF_BRIDGE, index) + entry
    netlink.act((Request(body), _RTM_NEWTUNNEL, 0))


def _filtered(netlink: Netlink, link: Link) -> int | None:
    """Return the one identifier whose packets `link` takes; None for none or many."""
    question = Request(_TUNNEL_MSG.pack(_AF_BRIDGE, link.index))
    try:
        answers = netlink.dump(question, _RTM_GETTUNNEL, _FilterAnswer)
    except NetlinkError as error:
        raise refused(f"list identifiers of vxlan {link.name}", error) from error
    found = [vni for a in answers if a.link == link.index for vni in a.vnis]
    return found[0] if len(found) == 1 else None


class _FilterAnswer:
    """A message about the identifiers, `vnis`, whose packets a device takes."""

    link: int
    vnis: list[int]

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read where each range begins."""
        _, self.link = _TUNNEL_MSG.unpack_from(self._message, NETLINK_HEADER.size)
        start = NETLINK_HEADER.size + _TUNNEL_MSG.size
        self.vnis = [
            Attributes(entry).number(_ENTRY_START)
            for kind, entry in pairs(self._message, start)
            if kind == _ENTRY
        ]
