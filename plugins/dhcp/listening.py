# SPDX-License-Identifier: Apache-2.0
"""A link that listens to routers of IPv6."""

from __future__ import annotations

from cni_common.kernel import ipv6, links, sysctl

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink

_EVEN_WHEN_FORWARDING = "2"  # of accept_ra


def ensure(netlink: Netlink, name: str) -> Link:
    """Have the link of the thread's namespace up, and listen; return how it was.

    Raises Code.INTERNAL.
    """
    link = links.existing(netlink, name)
    sysctl.set_if_present(f"net/ipv6/conf/{name}/accept_ra", _EVEN_WHEN_FORWARDING)
    ipv6.enable("lo")
    ipv6.enable(name)
    if not link.is_up:
        links.set_up(netlink, name)
    return link
