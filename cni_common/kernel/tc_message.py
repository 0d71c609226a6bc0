# SPDX-License-Identifier: Apache-2.0
"""Messages of traffic control: struct tcmsg and its attributes (linux/rtnetlink.h).

By hand, for pyroute2's class brings forty modules for other disciplines with it, and
knows neither bursts in bytes nor rates beyond 32 bits (docs/decisions/0019).
"""

from __future__ import annotations

import struct
from _socket import AF_UNSPEC, htons, ntohs

from cni_common.kernel.attributes import Attributes, attribute, text
from cni_common.kernel.requests import NETLINK_HEADER, Request

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTCLASS, RTM_GETTCLASS = 40, 42
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

_TCMSG = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS = 1, 2  # TCA_*


class TcRequest(Request):
    """A question or an order to traffic control."""

    def __init__(  # noqa: PLR0913 - the fields of struct tcmsg
        self,
        index: int,
        kind: str = "",
        *,
        handle: int = 0,
        parent: int = 0,
        priority: int = 0,
        protocol: int = 0,
        options: bytes = b"",
    ) -> None:
        """For the link `index`; `priority` and `protocol` are a filter's."""
        order = priority << 16 | htons(protocol)
        body = _TCMSG.pack(AF_UNSPEC, index, handle, parent, order)
        if kind:
            body += text(_KIND, kind)
        if options:
            body += attribute(_OPTIONS, options)
        super().__init__(body)


class TcAnswer:
    """A discipline, class or filter as the kernel shows it."""

    index: int
    handle: int
    parent: int
    priority: int
    protocol: int
    kind: str
    raw_options: bytes
    options: Attributes

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the fields, and the options as attributes or as they are."""
        start = NETLINK_HEADER.size
        _, self.index, self.handle, self.parent, order = _TCMSG.unpack_from(
            self._message, start
        )
        self.priority, self.protocol = order >> 16, ntohs(order & 0xFFFF)
        attributes = Attributes(self._message, start + _TCMSG.size)
        self.kind = attributes.text(_KIND)
        self.raw_options = attributes.raw(_OPTIONS)
        self.options = Attributes(self.raw_options)
