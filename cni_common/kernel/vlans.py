# SPDX-License-Identifier: Apache-2.0
"""vlans: links that send by a master with a tag of 802.1Q (ip-link(8), if_link.h)."""

from __future__ import annotations

import errno
import struct

from cni_common.kernel import links, upper_links
from cni_common.kernel.attributes import attribute
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace

_ID = 1  # IFLA_VLAN_ID
_SHORT = struct.Struct("=H")


def add(  # noqa: PLR0913 - what a vlan has from the start
    netlink: Netlink,
    master: Link,
    *,
    passing: str,
    vlan_id: int,
    mtu: int = 0,
    namespace: Namespace | None = None,
) -> None:
    """Add a vlan on `master`, with its MAC, as `upper_links.add` does.

    Raises Code.INTERNAL.
    """
    options = attribute(_ID, _SHORT.pack(vlan_id))
    try:
        upper_links.add(
            netlink, passing, master, "vlan", options, mtu=mtu, namespace=namespace
        )
    except NetlinkError as error:
        raise refused(f"add VLAN {vlan_id} on {master.name}", error) from error


def is_taken(error: Exception) -> bool:
    """Tell whether a vlan was refused since its master has it already, anywhere."""
    cause = error.__cause__
    return isinstance(cause, NetlinkError) and cause.errno == errno.EEXIST


def id_of(netlink: Netlink, link: Link) -> int | None:
    """Return the VLAN that `link` is; None if it is none. Raises Code.INTERNAL."""
    found = upper_links.options(netlink, link.name, "vlan")
    return found.number(_ID) if found else None


def find(netlink: Netlink, master: Link, vlan_id: int) -> Link | None:
    """Return the link beside `master` that is this VLAN of it, or None.

    The kernel lists all vlans to find it. Raises Code.INTERNAL.
    """
    found = (link for link in links.of_kind(netlink, "vlan"))
    on = (link for link in found if link.peer == master.index)
    return next((link for link in on if id_of(netlink, link) == vlan_id), None)
