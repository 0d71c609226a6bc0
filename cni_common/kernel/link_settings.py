# SPDX-License-Identifier: Apache-2.0
"""Settings of a link that exists: MTU, queue, flags (ip-link(8), netdevice(7))."""

from __future__ import annotations

from cni_common.kernel.attributes import number, text
from cni_common.kernel.link_answer import IFF_ALLMULTI, IFNAME, MASTER, MTU, TXQLEN
from cni_common.kernel.links import RTM_NEWLINK
from cni_common.kernel.netlink import NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink


def set_mtu(netlink: Netlink, name: str, mtu: int) -> None:
    """Give the link the MTU `mtu`, in bytes. Raises Code.INTERNAL."""
    message = LinkRequest(text(IFNAME, name), number(MTU, mtu))
    _change(netlink, message, f"{name} mtu {mtu}")


def set_master(netlink: Netlink, link: Link, master: Link) -> None:
    """Make the link a port of `master`. Raises Code.INTERNAL."""
    message = LinkRequest(text(IFNAME, link.name), number(MASTER, master.index))
    _change(netlink, message, f"{link.name} master {master.name}")


def set_tx_queue_length(netlink: Netlink, name: str, packets: int) -> None:
    """Set the length of the link's transmit queue, in packets. Raises Code.INTERNAL."""
    message = LinkRequest(text(IFNAME, name), number(TXQLEN, packets))
    _change(netlink, message, f"{name} txqueuelen {packets}")


def set_all_multicast(netlink: Netlink, name: str, *, on: bool = True) -> None:
    """Make the link receive every multicast frame, or its own groups'.

    Raises Code.INTERNAL.
    """
    flags = IFF_ALLMULTI if on else 0
    message = LinkRequest(text(IFNAME, name), flags=flags, change=IFF_ALLMULTI)
    _change(netlink, message, f"{name} allmulticast {'on' if on else 'off'}")


def _change(netlink: Netlink, message: LinkRequest, what: str) -> None:
    try:
        netlink.act((message, RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set link {what}", error) from error
