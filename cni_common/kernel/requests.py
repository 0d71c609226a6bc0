# SPDX-License-Identifier: Apache-2.0
"""Requests to rtnetlink, where their format is simple enough to be written by hand."""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

NETLINK_HEADER = struct.Struct("=LHHLL")
IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=8BI")
IFA_ADDRESS, IFA_LOCAL = 1, 2


class Request:
    """A request with all that follows the netlink header, as Netlink sends messages."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._header: dict[str, int] = {}
        self.data = b""

    def __getitem__(self, key: str) -> Any:
        """Return the netlink header, which the socket fills in."""
        return {"header": self._header}[key]

    def reset(self) -> None:
        """Forget an earlier encoding."""
        self.data = b""

    def encode(self) -> None:
        """Encode the message into `data`."""
        length = NETLINK_HEADER.size + len(self._body)
        head = (self._header[key] for key in ("type", "flags", "sequence_number"))
        self.data = NETLINK_HEADER.pack(length, *head, 0) + self._body


class LinkRequest(Request):
    """A question about a link, or a change of it (linux/if_link.h).

    The link is told by its index, or else by a name among the attributes. Of the flags
    those of `change` become as they are in `flags`.
    """

    def __init__(
        self, *attributes: bytes, index: int = 0, flags: int = 0, change: int = 0
    ) -> None:
        head = IFINFOMSG.pack(0, 0, index, flags, change)
        super().__init__(head + b"".join(attributes))


class RouteRequest(Request):
    """A question about routes of a family, or a change of one (linux/rtnetlink.h).

    `length` is that of the destination's prefix. The table is among the attributes.
    """

    def __init__(  # noqa: PLR0913 - the fields of struct rtmsg
        self,
        family: int,
        *attributes: bytes,
        length: int = 0,
        protocol: int = 0,
        scope: int = 0,
        kind: int = 0,
        flags: int = 0,
    ) -> None:
        head = RTMSG.pack(family, length, 0, 0, 0, protocol, scope, kind, flags)
        super().__init__(head + b"".join(attributes))
