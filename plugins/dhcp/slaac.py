# SPDX-License-Identifier: Apache-2.0
"""The address that the kernel makes of what a router advertises (RFC 4862)."""

from __future__ import annotations

import select
import time

from cni_common.kernel import addresses, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP
from plugins.dhcp import listening

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPInterface

_IPV6 = 6
_LEASED = 128  # the length that a server of DHCPv6 gives, and no router


def awaited(path: str, name: str, seconds: float) -> IP:
    """Return the address that the link has within so many seconds; it is up then.

    It stays the kernel's, which ends it when the router says so, and has the routes.
    Raises Code.TRY_AGAIN_LATER if there is none, and Code.INTERNAL.
    """
    with (
        netns.entered_path(path),
        Netlink() as netlink,
        Netlink(groups=addresses.GROUP_IPV6_ADDRESS) as events,
    ):
        link = listening.ensure(netlink, name)
        until = time.monotonic() + seconds
        while (found := _advertised(netlink, link)) is None:
            left = until - time.monotonic()
            if left <= 0:
                msg = f"await IPv6 address of {name}: no router has advertised one"
                raise CNIError(Code.TRY_AGAIN_LATER, msg)
            if select.select([events], [], [], left)[0]:
                events.receive()
    return IP(address=found)


def _advertised(netlink: Netlink, link: Link) -> IPInterface | None:
    """Return a usable address of `link` that was given for a time."""
    for held in addresses.of_link(netlink, link):
        if held.address.version != _IPV6 or held.permanent:
            continue
        if held.address.network.prefixlen == _LEASED:
            continue
        if held.duplicate:
            msg = f"use address {held.address}: another host has it"
            raise CNIError(Code.INTERNAL, msg)
        if not held.tentative and not held.address.is_link_local:
            return held.address
    return None
