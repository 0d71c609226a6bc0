# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a link (linux/if_link.h), as far as we ask."""

from __future__ import annotations

from cni_common.kernel.attributes import Attributes
from cni_common.kernel.requests import IFINFOMSG, NETLINK_HEADER
from cni_common.spec.values import dataclass

IFF_UP, IFF_NOARP, IFF_PROMISC, IFF_ALLMULTI = 0x1, 0x80, 0x100, 0x200
BODY = NETLINK_HEADER.size + IFINFOMSG.size  # where the attributes of a link begin
ADDRESS, IFNAME, MTU, LINK, MASTER = 1, 3, 4, 5, 10  # IFLA_*
TXQLEN, _OPERSTATE, LINKINFO, IFALIAS = 13, 16, 18, 20
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
BR_VLAN_FILTERING = 7
_BRPORT_STATE, BRPORT_MODE, BRPORT_ISOLATED = 1, 4, 33
_PORT_DISABLED = 0  # BR_STATE_DISABLED
_OPERSTATES = (  # RFC 2863, linux/if.h
    "unknown",
    "notpresent",
    "down",
    "lowerlayerdown",
    "testing",
    "dormant",
    "up",
)


@dataclass(frozen=True)
class Link:
    """A link as the kernel shows it; `peer` is the index of a veth's other end.

    `is_promiscuous` and `is_all_multicast` tell what was set, not what a socket asked
    for in the meantime (packet(7), PACKET_ADD_MEMBERSHIP).

    Unless it `has_arp`, whatever is on the link is sent to the link's own MAC.

    For a port of a bridge `hairpin` and `isolated` tell its flags, and `port_enabled`
    whether it takes part in the bridge.
    """

    index: int
    name: str
    mac: str
    mtu: int
    is_up: bool
    has_arp: bool
    is_promiscuous: bool
    is_all_multicast: bool
    tx_queue_length: int
    operstate: str
    kind: str
    alias: str
    master: int
    peer: int
    hairpin: bool
    isolated: bool
    port_enabled: bool
    vlan_filtering: bool


class LinkAnswer:
    """A message about a link, to be decoded into `link`."""

    link: Link

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the link; the rest of the message is left alone."""
        _, _, index, flags, _ = IFINFOMSG.unpack_from(
            self._message, NETLINK_HEADER.size
        )
        link = Attributes(self._message, BODY)
        described = link.nested(LINKINFO)
        kind = described.text(INFO_KIND)
        port = described.nested(INFO_SLAVE_DATA)
        options = described.nested(INFO_DATA) if kind == "bridge" else Attributes(b"")
        self.link = Link(
            index=index,
            name=link.text(IFNAME),
            mac=link.raw(ADDRESS).hex(":"),
            mtu=link.number(MTU),
            is_up=bool(flags & IFF_UP),
            has_arp=not flags & IFF_NOARP,
            is_promiscuous=bool(flags & IFF_PROMISC),
            is_all_multicast=bool(flags & IFF_ALLMULTI),
            tx_queue_length=link.number(TXQLEN),
            operstate=_OPERSTATES[link.number(_OPERSTATE)],
            kind=kind,
            alias=link.text(IFALIAS),
            master=link.number(MASTER),
            peer=link.number(LINK),
            hairpin=port.number(BRPORT_MODE) == 1,
            isolated=port.number(BRPORT_ISOLATED) == 1,
            port_enabled=port.number(_BRPORT_STATE) != _PORT_DISABLED,
            vlan_filtering=bool(options.number(BR_VLAN_FILTERING)),
        )
