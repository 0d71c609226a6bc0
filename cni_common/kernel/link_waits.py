# SPDX-License-Identifier: Apache-2.0
"""Waits until a link works: the kernel does the rest of "up" in a work queue."""

from __future__ import annotations

import select
import time

from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.kernel.link_answer import Link

GROUP_LINK = 1  # RTMGRP_LINK


def port_enabled(netlink: Netlink, name: str, seconds: float = 10.0) -> Link:
    """Return the bridge port `name` when it is enabled; raises Code.INTERNAL after
    `seconds`.

    The kernel enables a port when it has seen the carrier, which it does in a work
    queue, so that the first frames of a container would be lost without waiting.
    With STP an enabled port does not forward yet, for half a minute: that is the
    administrator's wish. The calling thread must be in the namespace of `netlink`.
    """
    link, in_time = _wait(netlink, name, seconds, lambda link: link.port_enabled)
    if not in_time:
        msg = f"bring up bridge port {name}: it stays disabled"
        raise CNIError(Code.INTERNAL, msg, f"its link is {link.operstate}")
    return link


def operational(netlink: Netlink, name: str, seconds: float = 10.0) -> Link:
    """Return the link `name` when it sends what it is given; raises Code.INTERNAL after
    `seconds`.

    The kernel starts the queue of a link whose carrier came after it was up in a
    work queue, and drops what is sent before. The calling thread must be in the
    namespace of `netlink`.
    """
    link, in_time = _wait(netlink, name, seconds, lambda link: link.operstate == "up")
    if not in_time:
        msg = f"bring up link {name}: it stays {link.operstate}"
        raise CNIError(Code.INTERNAL, msg)
    return link


def _wait(
    netlink: Netlink, name: str, seconds: float, holds: Callable[[Link], bool]
) -> tuple[Link, bool]:
    """Return the link when it `holds`, or as it is after `seconds`, and which it is."""
    with Netlink(groups=GROUP_LINK) as events:
        until = time.monotonic() + seconds
        while True:
            link = links.existing(netlink, name)
            left = until - time.monotonic()
            if holds(link) or left <= 0:
                return link, holds(link)
            if select.select([events], [], [], left)[0]:
                events.receive()
