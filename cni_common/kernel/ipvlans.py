# SPDX-License-Identifier: Apache-2.0
"""ipvlan: links that share a master's MAC (Documentation/networking/ipvlan.rst)."""

from __future__ import annotations

import errno
import struct

from cni_common.kernel import links, upper_links
from cni_common.kernel.attributes import attribute
from cni_common.kernel.link_answer import IFF_NOARP
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace

_MODE = 1  # IFLA_IPVLAN_MODE
_MODES = ("l2", "l3", "l3s")
_SHORT = struct.Struct("=H")


def add(  # noqa: PLR0913 - what an ipvlan link has from the start
    netlink: Netlink,
    name: str,
    master: Link,
    *,
    passing: str,
    mode: str,
    mtu: int = 0,
    namespace: Namespace | None = None,
) -> None:
    """Add an ipvlan link on `master`, to be renamed `name`, as `upper_links.add` does.

    Raises Code.INTERNAL.
    """
    try:
        upper_links.add(
            netlink,
            passing,
            master,
            "ipvlan",
            _options(mode),
            mtu=mtu,
            namespace=namespace,
        )
    except NetlinkError as error:
        raise refused(
            f"add ipvlan {name} on {master.name}", error, _hint(error, master)
        ) from error


def change(netlink: Netlink, link: Link, mode: str) -> None:
    """Set `mode` of all ipvlan links on the master of `link`; raises Code.INTERNAL."""
    options = links.described("ipvlan", _options(mode))
    try:
        request = LinkRequest(options, index=link.index)
        netlink.act((request, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"change ipvlan {link.name}", error) from error


def set_without_arp(netlink: Netlink, link: Link) -> None:
    """Have nobody asked for a MAC on `link`: each is its own. Raises Code.INTERNAL."""
    request = LinkRequest(index=link.index, flags=IFF_NOARP, change=IFF_NOARP)
    try:
        netlink.act((request, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set link {link.name} arp off", error) from error


def mode_of(netlink: Netlink, name: str) -> str:
    """Return the mode of the ipvlan link `name`; "" when no link of that name is one.

    Raises Code.INTERNAL.
    """
    found = upper_links.options(netlink, name, "ipvlan")
    return _MODES[found.number(_MODE)] if found else ""


def _options(mode: str) -> bytes:
    return attribute(_MODE, _SHORT.pack(_MODES.index(mode)))


def _hint(error: NetlinkError, master: Link) -> str:
    """Return what the kernel means by an errno without words."""
    match error.errno:
        case errno.EBUSY:
            return f"{master.name} is a port of a bridge or bond, or has macvlans"
        case errno.EINVAL:
            return f"{master.name} is no Ethernet link, or is lo"
    return ""
