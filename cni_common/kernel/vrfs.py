# SPDX-License-Identifier: Apache-2.0
"""VRFs: links whose ports have their routes in a table of their own (ip-link(8))."""

from __future__ import annotations

import errno

from cni_common.kernel import links
from cni_common.kernel.attributes import Attributes, number, text
from cni_common.kernel.link_answer import (
    BODY,
    IFF_UP,
    IFNAME,
    INFO_DATA,
    INFO_KIND,
    LINKINFO,
    MASTER,
)
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink

KIND = "vrf"
ALIAS = "cnipy vrf"  # of those that go with their last interface
_TABLE = 1  # IFLA_VRF_TABLE


class _Answer:
    """A message about a link, to be decoded into the `table` of a VRF, 0 of others."""

    table = 0

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the table, if the link is a VRF."""
        described = Attributes(self._message, BODY).nested(LINKINFO)
        if described.text(INFO_KIND) == KIND:
            self.table = described.nested(INFO_DATA).number(_TABLE)


def tables(netlink: Netlink) -> set[int]:
    """Return the tables of all VRFs; raises Code.INTERNAL."""
    question = LinkRequest(links.described(KIND))
    try:
        found = netlink.dump(question, links.RTM_GETLINK, _Answer)
    except NetlinkError as error:
        raise refused("list links", error) from error
    return {answer.table for answer in found if answer.table}


def add(netlink: Netlink, name: str, table: int, *, passing: str) -> None:
    """Add a VRF that is up, with a mark of ours. Raises Code.INTERNAL.

    It is called `passing` until it has the mark, which the kernel takes no earlier, so
    that none called `name` is ever without.
    """
    named = text(IFNAME, passing), links.described(KIND, number(_TABLE, table))
    try:
        netlink.act((LinkRequest(*named), links.RTM_NEWLINK, CREATE | EXCLUSIVE))
        links.set_alias(netlink, passing, ALIAS)
        link = links.existing(netlink, passing)
        ready = LinkRequest(
            text(IFNAME, name), index=link.index, flags=IFF_UP, change=IFF_UP
        )
        netlink.act((ready, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"add vrf {name} with table {table}", error) from error


def table_of(netlink: Netlink, name: str) -> int | None:
    """Return the table of the VRF `name`: 0 for a link of another kind, None without.

    Raises Code.INTERNAL.
    """
    question = LinkRequest(text(IFNAME, name), links.WITHOUT_STATISTICS)
    try:
        found: _Answer = netlink.get(question, links.RTM_GETLINK, _Answer)
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise refused(f"find link {name}", error) from error
    return found.table


def set_master(netlink: Netlink, link: Link, vrf: Link | None) -> None:
    """Have `link` in `vrf`, or in none. The kernel sets it down and up meanwhile.

    Raises Code.INTERNAL.
    """
    message = LinkRequest(number(MASTER, vrf.index if vrf else 0), index=link.index)
    try:
        netlink.act((message, links.RTM_NEWLINK, 0))
    except NetlinkError as error:
        where = f"to vrf {vrf.name}" if vrf else "to no vrf"
        raise refused(f"move link {link.name} {where}", error) from error
