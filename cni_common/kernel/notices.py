# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells whoever listens: that rules, links, limits or routes go.

Groups of nfnetlink and of rtnetlink (linux/netfilter/nfnetlink.h, linux/rtnetlink.h).
Of all that is told only what may be a loss is passed on; where something was missed,
everything may be one.
"""

from __future__ import annotations

import errno
import os
import struct
from _socket import MSG_DONTWAIT, SO_RCVBUF, SOL_SOCKET
from contextlib import ExitStack

from cni_common.kernel import raw_netlink, sockets
from cni_common.kernel.attributes import Attributes
from cni_common.kernel.link_answer import IFALIAS, IFF_UP, INFO_KIND, LINKINFO, MASTER
from cni_common.kernel.requests import IFADDRMSG, IFINFOMSG
from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_ROUTE, _NETFILTER = 0, 12  # NETLINK_*
_RULES = 1 << 6  # NFNLGRP_NFTABLES
# RTMGRP_LINK, _TC, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE
_LINKS = 0x1 | 0x8 | 0x10 | 0x40 | 0x100 | 0x400
_SUBSYSTEM = 0xA  # NFNL_SUBSYS_NFTABLES
_NEW_TABLE, _NEW_CHAIN, _DEL_RULE = 0, 3, 8  # NFT_MSG_*
# NFT_MSG_DEL*: of a table, a chain, a rule, a set, an element.
_DELETIONS = {2, 5, _DEL_RULE, 11, 14}
_TABLE_NAME = 1  # NFTA_*_TABLE, NFTA_TABLE_NAME
_CHAIN_OF = {_DEL_RULE: 2, _NEW_CHAIN: 3, 5: 3}  # NFTA_RULE_CHAIN, NFTA_CHAIN_NAME
_NEW_LINK, _DEL_LINK, _DEL_ADDRESS, _DEL_ROUTE = 16, 17, 21, 25  # RTM_*
# RTM_DEL*: of a discipline, a class, a filter. All begin with a struct tcmsg.
_DEL_LIMITS = {37, 41, 45}
_SCOPE_LINK = 253
_ROUTE_HEADER = struct.Struct("=8BI")  # struct rtmsg
_TC_HEADER = struct.Struct("=4xi")
_OIF, _MAIN = 4, 254  # RTA_OIF, RT_TABLE_MAIN
_KEPT = 8 << 20  # bytes of what is not read yet


@dataclass
class Losses:
    """What may be gone: rules, by name of the table; links that may be by index.

    `aliases` are those of links that lack something, `all` is anything.
    """

    tables: set[str] = field(default_factory=set)
    indices: set[int] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    all: bool = False

    def __bool__(self) -> bool:
        return bool(self.tables or self.indices or self.aliases or self.all)


class Notices:
    """Hears what the calling thread's namespace tells; use it by `with`."""

    def __init__(self, ours: str) -> None:
        """Listen; rules of tables whose names begin with `ours` are passed on.

        Raises Code.INTERNAL.
        """
        self._ours = ours
        self._rules = listening(_NETFILTER, _RULES)
        try:
            self._links = listening(_ROUTE, _LINKS)
        except CNIError:
            self._rules.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._rules.close()
        self._links.close()

    def filenos(self) -> list[int]:
        """Return the descriptors, for select(2)."""
        return [self._rules.fileno(), self._links.fileno()]

    def read(self) -> Losses:
        """Return what was told since, without waiting."""
        found = Losses()
        for link, look in ((self._rules, self._rule), (self._links, _link)):
            for kind, body in messages(link, found):
                look(kind, body, found)
        return found

    def _rule(self, kind: int, body: bytes, found: Losses) -> None:
        """Note a deletion from our tables, and what makes a host drop or pass.

        That is firewalld's own table, and FORWARD and our chains of iptables.
        """
        kind = kind & 0xFF if kind >> 8 == _SUBSYSTEM else -1
        if kind not in _DELETIONS and kind not in {_NEW_TABLE, _NEW_CHAIN}:
            return
        told = Attributes(body, raw_netlink.GENERIC.size)
        table = told.text(_TABLE_NAME)
        chain = told.text(_CHAIN_OF.get(kind, -1))
        if table.startswith(self._ours):
            is_loss = kind in _DELETIONS
        else:
            of_iptables = chain == "FORWARD" or chain.startswith("CNI-")
            is_loss = table == "firewalld" or (table == "filter" and of_iptables)
        if is_loss:
            found.tables.add(table)


def _link(kind: int, body: bytes, found: Losses) -> None:
    if kind in {_NEW_LINK, _DEL_LINK}:
        _, _, _, flags, _ = IFINFOMSG.unpack_from(body)
        told = Attributes(body, IFINFOMSG.size)
        if told.nested(LINKINFO).text(INFO_KIND) == "bridge":
            found.all |= kind == _DEL_LINK or not flags & IFF_UP
        elif kind == _NEW_LINK and not (flags & IFF_UP and told.number(MASTER)):
            found.aliases.add(told.text(IFALIAS))
    elif kind == _DEL_ADDRESS:
        _, _, _, scope, index = IFADDRMSG.unpack_from(body)
        if scope != _SCOPE_LINK:
            found.indices.add(index)
    elif kind in _DEL_LIMITS:
        found.indices.add(_TC_HEADER.unpack_from(body)[0])
    elif kind == _DEL_ROUTE:
        table = _ROUTE_HEADER.unpack_from(body)[4]
        if table == _MAIN:
            found.indices.add(Attributes(body, _ROUTE_HEADER.size).number(_OIF))


def listening(protocol: int, groups: int) -> sockets.Socket:
    """Return a socket that hears what is told to `groups`. Raises Code.INTERNAL."""
    with ExitStack() as undo:
        try:
            link = undo.enter_context(sockets.netlink(protocol))
            link.setsockopt(SOL_SOCKET, SO_RCVBUF, _KEPT)
            link.bind((0, groups))
        except OSError as error:
            msg = f"listen to the kernel: {cause_of(error)}"
            raise CNIError(Code.INTERNAL, msg) from error
        undo.pop_all()
    return link


def messages(link: sockets.Socket, found: Losses) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message that waits; what was missed is noted.

    Raises Code.INTERNAL.
    """
    while True:
        try:
            data, sender = link.recvfrom(1 << 18, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                msg = f"listen to the kernel: {os.strerror(error.errno or errno.EIO)}"
                raise CNIError(Code.INTERNAL, msg) from error
            found.all = True
            continue
        if sender[0] == 0:  # else somebody else wrote to our port
            yield from raw_netlink.messages(data)
