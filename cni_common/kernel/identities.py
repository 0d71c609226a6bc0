# SPDX-License-Identifier: Apache-2.0
"""What a link is told by that nobody in its namespace can change (linux/if_link.h).

Its name, alternative names, alias and MAC are for whoever may configure the network
there: they say nothing about which link it is.
"""

from __future__ import annotations

import errno

from cni_common.kernel import links, pyroute2_messages
from cni_common.kernel.attributes import Attributes, pairs
from cni_common.kernel.link_answer import BODY, INFO_KIND, LINKINFO
from cni_common.kernel.netlink import APPEND, CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link

_RTM_NEWLINKPROP, _RTM_DELLINKPROP = 108, 109
_LINK, _LINK_NETNSID, _PROP_LIST, _ALT_IFNAME = 5, 37, 52, 53  # IFLA_*
_PERM_ADDRESS, _PARENT_DEV_NAME, _PARENT_DEV_BUS_NAME = 54, 56, 57


@dataclass(frozen=True)
class Identity:
    """What a link is: its kind, the MAC it was built with, the device behind it.

    `parent` is bus and name of that device ("pci/0000:03:00.1"). A virtual link has
    neither MAC nor parent; `other` is then the index of the link that it leads to or
    stands on, and `other_netns` the number by which the link's namespace knows that
    link's, or -1 if both are in the same.
    """

    kind: str
    permanent_mac: str
    parent: str
    other: int
    other_netns: int

    @property
    def is_hardware(self) -> bool:
        """Whether nobody can make another one like it."""
        return bool(self.parent or (self.permanent_mac and not self.kind))


class _Answer:
    """A message about a link, to be decoded into `identity` and `alternative_names`."""

    identity: Identity
    alternative_names: tuple[str, ...]

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read both."""
        found = Attributes(self._message, BODY)
        bus, name = found.text(_PARENT_DEV_BUS_NAME), found.text(_PARENT_DEV_NAME)
        netns = found.raw(_LINK_NETNSID)
        self.identity = Identity(
            found.nested(LINKINFO).text(INFO_KIND),
            found.raw(_PERM_ADDRESS).hex(":"),
            f"{bus}/{name}" if name else "",
            found.number(_LINK),
            found.number(_LINK_NETNSID) if netns else -1,
        )
        self.alternative_names = tuple(
            raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            for kind, raw in pairs(found.raw(_PROP_LIST))
            if kind == _ALT_IFNAME
        )


def read(netlink: Netlink, link: Link) -> Identity:
    """Return what `link` is. Raises Code.INTERNAL."""
    return _ask(netlink, link).identity


def alternative_names(netlink: Netlink, link: Link) -> tuple[str, ...]:
    """Return the names that `link` has beside its own. Raises Code.INTERNAL."""
    return _ask(netlink, link).alternative_names


def add_name(netlink: Netlink, link: Link, name: str) -> None:
    """Add the alternative name `name` to `link`. Raises Code.INTERNAL."""
    _name(netlink, link, name, _RTM_NEWLINKPROP, CREATE | EXCLUSIVE | APPEND)


def delete_name(netlink: Netlink, link: Link, name: str) -> None:
    """Delete the alternative name `name` of `link`. Raises Code.INTERNAL."""
    _name(netlink, link, name, _RTM_DELLINKPROP, 0)


def _name(netlink: Netlink, link: Link, name: str, kind: int, flags: int) -> None:
    message = pyroute2_messages.ifinfmsg()
    message["index"] = link.index
    properties = {"attrs": [("IFLA_ALT_IFNAME", name)]}
    message["attrs"] = [("IFLA_PROP_LIST", properties)]
    try:
        netlink.act((message, kind, flags))
    except NetlinkError as error:
        if error.errno != (errno.EEXIST if flags else errno.ENOENT):
            what = f"{link.name} altname {name}"
            raise refused(f"set link {what}", error) from error


def _ask(netlink: Netlink, link: Link) -> _Answer:
    message = LinkRequest(links.WITHOUT_STATISTICS, index=link.index)
    try:
        found: _Answer = netlink.get(message, links.RTM_GETLINK, _Answer)
    except NetlinkError as error:
        raise refused(f"find link {link.name}", error) from error
    return found
