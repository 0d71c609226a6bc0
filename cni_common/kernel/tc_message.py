# SPDX-License-Identifier: Apache-2.0
"""Messages of traffic control: struct tcmsg and its attributes (linux/rtnetlink.h).

By hand, for pyroute2's class brings forty modules for other disciplines with it, and
knows neither bursts in bytes nor rates beyond 32 bits (docs/decisions/0019).
"""

from __future__ import annotations

import socket
import struct

from cni_common.kernel.attributes import Attributes, attribute

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from typing import Any

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTCLASS, RTM_GETTCLASS = 40, 42
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

_NETLINK_HEADER = struct.Struct("=LHHLL")
_TCMSG = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS = 1, 2  # TCA_*


class TcRequest:
    """A question or an order to traffic control, as Netlink sends messages."""

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
        order = priority << 16 | socket.htons(protocol)
        self._body = _TCMSG.pack(socket.AF_UNSPEC, index, handle, parent, order)
        if kind:
            self._body += attribute(_KIND, kind.encode() + b"\0")
        if options:
            self._body += attribute(_OPTIONS, options)
        self._header: dict[str, int] = {}
        self.data = b""

    def __getitem__(self, key: str) -> Any:
        """Return the netlink header, which the socket fills in."""
        return {"header": self._header}[key]

    def reset(self) -> None:
        """Forget an earlier encoding."""
        self.data = b""

    def encode(self) -> None:
        """Have the message in `data`."""
        length = _NETLINK_HEADER.size + len(self._body)
        head = (self._header[key] for key in ("type", "flags", "sequence_number"))
        self.data = _NETLINK_HEADER.pack(length, *head, 0) + self._body


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
        """Have the fields, and the options as attributes or as they are."""
        start = _NETLINK_HEADER.size
        _, self.index, self.handle, self.parent, order = _TCMSG.unpack_from(
            self._message, start
        )
        self.priority, self.protocol = order >> 16, socket.ntohs(order & 0xFFFF)
        attributes = Attributes(self._message, start + _TCMSG.size)
        self.kind = attributes.text(_KIND)
        self.raw_options = attributes.raw(_OPTIONS)
        self.options = Attributes(self.raw_options)
