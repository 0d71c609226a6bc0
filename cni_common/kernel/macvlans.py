# SPDX-License-Identifier: Apache-2.0
"""macvlans: links with MACs of their own on a master (ip-link(8), if_link.h)."""

from __future__ import annotations

import errno

from cni_common.kernel import links, upper_links
from cni_common.kernel.attributes import number
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace

_MODE, _BC_QUEUE_LEN = 1, 7  # IFLA_MACVLAN_*
_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
_NUMBERS = {mode: number for number, mode in _MODES.items()}


@dataclass(frozen=True)
class Macvlan:
    """What a macvlan has beside what every link has."""

    mode: str
    bc_queue_len: int


def add(  # noqa: PLR0913 - what a macvlan has from the start
    netlink: Netlink,
    name: str,
    master: Link,
    *,
    passing: str,
    mode: str,
    mac: str,
    mtu: int = 0,
    bc_queue_len: int = 0,
    namespace: Namespace | None = None,
) -> None:
    """Add a macvlan on `master`, to be renamed `name`, as `upper_links.add` does.

    `bc_queue_len` in frames, 0 is the kernel's. In mode passthru the kernel gives it
    the master's MAC rather than `mac`. Raises Code.INTERNAL.
    """
    options = _options(mode, bc_queue_len)
    try:
        upper_links.add(
            netlink,
            passing,
            master,
            "macvlan",
            options,
            mac=mac,
            mtu=mtu,
            namespace=namespace,
        )
    except NetlinkError as error:
        raise refused(
            f"add macvlan {name} on {master.name}", error, _hint(error, master)
        ) from error


def change(netlink: Netlink, link: Link, mode: str, bc_queue_len: int = 0) -> None:
    """Set `mode` of the macvlan `link`, and `bc_queue_len`, in frames, if not 0.

    Raises Code.INTERNAL; the kernel lets none into mode passthru, or out of it.
    """
    options = links.described("macvlan", _options(mode, bc_queue_len))
    try:
        netlink.act((LinkRequest(options, index=link.index), links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"change macvlan {link.name}", error) from error


def is_mac_in_use(error: Exception) -> bool:
    """Tell whether a macvlan was refused since its master has the MAC already."""
    cause = error.__cause__
    return isinstance(cause, NetlinkError) and cause.errno == errno.EADDRINUSE


def get(netlink: Netlink, name: str) -> Macvlan | None:
    """Return what the macvlan `name` has; None when no link of that name is one."""
    found = upper_links.options(netlink, name, "macvlan")
    if found is None:
        return None
    mode = _MODES.get(found.number(_MODE), "")
    return Macvlan(mode, found.number(_BC_QUEUE_LEN))


def _options(mode: str, bc_queue_len: int) -> bytes:
    queue = number(_BC_QUEUE_LEN, bc_queue_len) if bc_queue_len else b""
    return number(_MODE, _NUMBERS[mode]) + queue


def _hint(error: NetlinkError, master: Link) -> str:
    """Return what the kernel means by an errno without words."""
    match error.errno:
        case errno.EBUSY:
            return f"{master.name} is a port of a bridge or bond, or has ipvlan links"
        case errno.EINVAL:
            return (
                f"{master.name} is no Ethernet link, or mode passthru meets another"
                " macvlan on it"
            )
    return ""
