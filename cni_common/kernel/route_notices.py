# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells whoever listens of routes and nexthops that one protocol made.

When a link goes down, it tells of the link alone: all that led through it is gone.
"""

from __future__ import annotations

import socket
import struct

from cni_common.kernel.attributes import Attributes
from cni_common.kernel.link_answer import IFNAME
from cni_common.kernel.notices import Losses, listening, messages
from cni_common.kernel.requests import IFADDRMSG, IFINFOMSG, RTMSG

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

_ROUTE = 0  # NETLINK_ROUTE
# RTMGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE, and
# RTNLGRP_NEXTHOP, the last that is part of the mask.
_GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400 | 1 << 31
_LINKS = {16, 17}  # RTM_NEWLINK, RTM_DELLINK
_NEW_ADDRESS, _DEL_ADDRESS, _DEL_ROUTE = 20, 21, 25  # RTM_*
_DEL_NEIGHBOUR, _DEL_NEXTHOP = 29, 105
_GLOBAL = 0  # RT_SCOPE_UNIVERSE
_NHMSG = struct.Struct("=BBBxI")
_NDMSG = struct.Struct("=BxxxiHBB")


class RouteNotices:
    """Hears what befalls routes and nexthops of `protocol` in the calling thread's
    namespace; use it by `with`, or close it.

    Raises Code.INTERNAL.
    """

    def __init__(self, protocol: int) -> None:
        self._protocol = protocol
        self._socket = listening(_ROUTE, _GROUPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()

    def is_disturbed(self, links: Collection[str], indices: Collection[int]) -> bool:
        """Tell, without waiting, whether something may be gone since the last call, or
        in the way.

        That is a route or nexthop of the protocol; or one of `links` changed, or has an
        address or neighbour less, which `indices` tell; or any link has an address with
        a subnet that it had not. Where something was missed, it may be.
        """
        found, disturbed = Losses(), False
        for kind, body in messages(self._socket, found):
            if kind in _LINKS:
                disturbed |= Attributes(body, IFINFOMSG.size).text(IFNAME) in links
            elif kind == _NEW_ADDRESS:
                disturbed |= _has_subnet(body)
            elif kind == _DEL_ADDRESS:
                disturbed |= IFADDRMSG.unpack_from(body)[4] in indices
            elif kind == _DEL_NEIGHBOUR:
                disturbed |= _NDMSG.unpack_from(body)[1] in indices
            elif kind == _DEL_ROUTE:
                disturbed |= RTMSG.unpack_from(body)[5] == self._protocol
            elif kind == _DEL_NEXTHOP:
                disturbed |= _NHMSG.unpack_from(body)[2] == self._protocol
        return disturbed or found.all


def _has_subnet(body: bytes) -> bool:
    """Tell whether an address is of more than its own host, and beyond its link."""
    family, length, _, scope, _ = IFADDRMSG.unpack_from(body)
    most = 32 if family == socket.AF_INET else 128
    return bool(scope == _GLOBAL and length < most)
