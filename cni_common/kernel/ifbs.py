# SPDX-License-Identifier: Apache-2.0
"""Intermediate functional blocks: links that limit what comes in by another one.

A filter sends packets to an ifb; when they have passed its discipline they go on as
if they had just come in by the first link.
"""

from __future__ import annotations

import errno

from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link

KIND = "ifb"


def add(netlink: Netlink, name: str, *, mac: str, mtu: int) -> bool:
    """Add an ifb that is up; false if there is a link of that name.

    `mtu` in bytes. Raises Code.INTERNAL.
    """
    try:
        links.add(netlink, name, KIND, mac=mac, mtu=mtu)
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            return False
        raise refused(f"add ifb {name}", error) from error
    return True


def get(netlink: Netlink, name: str) -> Link | None:
    """Return the ifb called `name`, or None when no link or another is called so."""
    link = links.get(netlink, name)
    return link if link is not None and link.kind == KIND else None


def of_host(netlink: Netlink) -> list[Link]:
    """Return every ifb; for GC only."""
    return links.of_kind(netlink, KIND)
