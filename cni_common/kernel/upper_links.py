# SPDX-License-Identifier: Apache-2.0
"""Links that stand on another one, their master: macvlan, ipvlan, vlan (ip-link(8))."""

from __future__ import annotations

import errno

from cni_common.kernel import links
from cni_common.kernel.attributes import Attributes, number, text
from cni_common.kernel.link_answer import (
    BODY,
    IFNAME,
    INFO_DATA,
    INFO_KIND,
    LINK,
    LINKINFO,
)
from cni_common.kernel.netlink import NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.netns import Namespace


def add(  # noqa: PLR0913 - what such a link has from the start
    netlink: Netlink,
    passing: str,
    master: Link,
    kind: str,
    *options: bytes,
    mac: str = "",
    mtu: int = 0,
    namespace: Namespace | None = None,
) -> None:
    """Add a link of `kind` on `master`, down; in `namespace` if one is given.

    It is to be renamed, and called `passing` until then: up to Linux 6.14 a new link's
    name must be free in the namespace of `netlink`, too, where the master and many a
    link of a container are called eth0. The master is one of that namespace; the link
    is made where it is to be, so that it is never seen elsewhere.

    `mtu` in bytes, 0 is the master's. Raises NetlinkError.
    """
    where = number(LINK, master.index)
    if namespace is not None:
        where += links.in_namespace(namespace)
    links.add(netlink, passing, kind, *options, mac=mac, mtu=mtu, more=where, up=False)


def options(netlink: Netlink, name: str, kind: str) -> Attributes | None:
    """Return what a link has as one of `kind`; None when no link `name` is one.

    Raises Code.INTERNAL.
    """
    message = LinkRequest(text(IFNAME, name))
    try:
        answer: _Answer = netlink.get(message, links.RTM_GETLINK, _Answer)
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise refused(f"find link {name}", error) from error
    return answer.options if answer.kind == kind else None


class _Answer:
    """A message about a link, to be decoded into `kind` and `options`."""

    kind: str
    options: Attributes

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read what a link has as one of its kind."""
        described = Attributes(self._message, BODY).nested(LINKINFO)
        self.kind = described.text(INFO_KIND)
        self.options = described.nested(INFO_DATA)
