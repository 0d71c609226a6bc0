# SPDX-License-Identifier: Apache-2.0
"""Packets that a link of the host receives, as if its wire had brought them.

A tap without a place in the network gets them from this process, and a filter at its
entrance hands them over to the link, whose own filters and rules they meet from there
on. The link itself is left alone. The tap goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

from cni_common.kernel import filters, links, qdiscs, sysctl, taps
from cni_common.spec.errors import CNIError, Code, cause_of, refused

if TYPE_CHECKING:
    from typing import Self

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink

_SET_IFF = 0x400454CA  # TUNSETIFF
_TUN, _TAP, _NO_PI, _EXCLUSIVE = 0x0001, 0x0002, 0x1000, 0x8000  # IFF_*
_REQUEST = struct.Struct("=16sH22x")  # struct ifreq
_SENDER = bytes.fromhex("020000000001")  # a MAC that is nobody's
_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_ETHERNET = 6  # bytes of a MAC


class Injection:
    """Has `link` of the calling thread's namespace receive packets.

    It is one of Ethernet, or has no header of its own, as tunnels of IP. Raises
    Code.INTERNAL for another, and where the kernel has no taps, or no such filter.
    """

    def __init__(self, netlink: Netlink, link: Link) -> None:
        self._mac = bytes.fromhex(link.mac.replace(":", ""))
        if len(self._mac) not in {_ETHERNET, 0}:
            msg = f"put packets into {link.name}: it has a header that is not known"
            raise CNIError(Code.INTERNAL, msg)
        name = _name()
        try:
            self._tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            msg = f"open /dev/net/tun: {cause_of(error)}"
            raise CNIError(Code.INTERNAL, msg, "the kernel's module is tun") from error
        try:
            self._set_up(netlink, name, link)
        except OSError as error:
            self.close()
            raise refused(f"put packets into {link.name}", error) from error
        except CNIError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the tap."""
        os.close(self._tap)

    def put(self, packet: bytes) -> None:
        """Have the link receive an IP packet, for its own MAC if it has one.

        Raises OSError.
        """
        head = self._mac + _SENDER + _TYPES[packet[0] >> 4] if self._mac else b""
        os.write(self._tap, head + packet)

    def _set_up(self, netlink: Netlink, name: str, link: Link) -> None:
        flags = (_TAP if self._mac else _TUN) | _NO_PI | _EXCLUSIVE
        fcntl.ioctl(self._tap, _SET_IFF, _REQUEST.pack(os.fsencode(name), flags))
        sysctl.set_if_present(f"net/ipv6/conf/{name}/disable_ipv6", "1")
        if self._mac:
            # What is for another than the tap's own would be nobody's behind it either.
            taps.configure(netlink, name, name, mac=link.mac)
        tap = links.existing(netlink, name)
        qdiscs.add_ingress(netlink, tap)
        received = filters.Filter(1, filters.ETH_P_ALL, received_by=link.index)
        filters.add(netlink, tap, qdiscs.INGRESS, [received])
        links.set_up(netlink, name)


def is_own(name: str) -> bool:
    """Tell whether a link is the tap that packets are put into."""
    return name in {"", _name()}  # it has no name any more when it is gone


def _name() -> str:
    return f"cnipy{os.getpid()}"
