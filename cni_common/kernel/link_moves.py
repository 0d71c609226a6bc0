# SPDX-License-Identifier: Apache-2.0
"""Links that exist, moved to another network namespace (ip-link(8), "netns").

The kernel takes a link down when it moves it, and drops its addresses, its routes and
its place in a bridge or bond.
"""

from __future__ import annotations

import errno

from cni_common.kernel import links
from cni_common.kernel.attributes import number, text
from cni_common.kernel.link_answer import IFALIAS, IFNAME, MASTER
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace

_NET_NS_FD = 28  # IFLA_NET_NS_FD


def move(
    netlink: Netlink, link: Link, target: Namespace, name: str, *, alias: str
) -> None:
    """Move `link` to `target`, down, called `name` and with `alias`.

    Nothing has happened when a link called `name` is there already and the link's
    present name is in use there, too. Otherwise the kernel may have moved the link
    under its present name when it refuses. Raises Code.INTERNAL.
    """
    message = LinkRequest(
        number(_NET_NS_FD, target.fd),
        text(IFNAME, name),
        text(IFALIAS, alias),
        index=link.index,
    )
    _act(netlink, message, "move link", f"{link.name} to {target.path} as {name}")


def rename(netlink: Netlink, link: Link, name: str, *, alias: str = "") -> bool:
    """Rename `link`, which is down, to `name`; false if another one is called so.

    With `alias` it gets that in the same request. Raises Code.INTERNAL.
    """
    attributes = [text(IFNAME, name)]
    if alias:
        attributes.append(text(IFALIAS, alias))
    message = LinkRequest(*attributes, index=link.index)
    try:
        netlink.act((message, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            return False
        raise refused(f"rename link {link.name} to {name}", error) from error
    return True


def enslave(netlink: Netlink, link: Link, master: Link) -> None:
    """Make `link` a port of `master`. Raises Code.INTERNAL."""
    message = LinkRequest(number(MASTER, master.index), index=link.index)
    _act(netlink, message, "set link", f"{link.name} master {master.name}")


def with_mac(netlink: Netlink, mac: str) -> list[Link]:
    """Return the links with the MAC `mac`: the kernel lists all to find them."""
    return [link for link in links.every(netlink) if link.mac == mac]


def _act(netlink: Netlink, message: LinkRequest, verb: str, what: str) -> None:
    try:
        netlink.act((message, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"{verb} {what}", error) from error
