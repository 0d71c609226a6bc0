# SPDX-License-Identifier: Apache-2.0
"""All addresses of this host, told apart by link (rtnetlink(7), RTM_GETADDR).

By hand instead of with pyroute2, whose import would cost portmap more than its work.
"""

from __future__ import annotations

import ipaddress
from _socket import AF_UNSPEC, NETLINK_ROUTE, if_nametoindex
from contextlib import suppress

from cni_common.kernel import raw_netlink
from cni_common.kernel.attributes import Attributes
from cni_common.kernel.requests import IFA_ADDRESS, IFA_LOCAL, IFADDRMSG
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.spec.fields import IPAddress

_RTM_GETADDR = 22
_ATTEMPTS = 10


def existing(links: Collection[str]) -> list[str]:
    """Return those of `links` that exist."""
    found = []
    for link in links:
        with suppress(OSError, ValueError):
            if_nametoindex(link)
            found.append(link)
    return found


def besides(links: Collection[str]) -> list[IPAddress]:
    """Return the addresses of all links but `links`, each once.

    Raises Code.INTERNAL.
    """
    apart = {if_nametoindex(link) for link in existing(links)}
    for _ in range(_ATTEMPTS):
        with suppress(InterruptedError):  # addresses came and went meanwhile
            return list(dict.fromkeys(_dump(apart)))
    raise CNIError(Code.INTERNAL, "list addresses of the host: they keep changing")


def _dump(apart: set[int]) -> Iterator[IPAddress]:
    body = IFADDRMSG.pack(AF_UNSPEC, 0, 0, 0, 0)
    for answer in raw_netlink.dump(NETLINK_ROUTE, _RTM_GETADDR, body):
        *_, index = IFADDRMSG.unpack_from(answer)
        if index not in apart:
            yield _address(answer)


def _address(answer: bytes) -> IPAddress:
    """Return the link's own address, which for a pointed link is not IFAIFADDRMSG."""
    found = Attributes(answer, IFADDRMSG.size)
    return ipaddress.ip_address(found.raw(IFA_LOCAL) or found.raw(IFA_ADDRESS))
