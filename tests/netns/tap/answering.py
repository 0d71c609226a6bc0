# SPDX-License-Identifier: Apache-2.0
"""The process at a tap's other end: a machine that answers ARP and echo requests.

`python answering.py LINK ADDRESS UID GID` is one that is an ordinary user, with one of
several queues.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x0100
_MAC = bytes.fromhex("020000000001")
_ECHO_REQUEST = 8


def attach(tun: int, *, queues: bool = False, link: str = "eth0") -> None:
    """Be the process at the other end of the tap."""
    flags = IFF_TAP | IFF_NO_PI | (IFF_MULTI_QUEUE if queues else 0)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("=16sH22x", link.encode(), flags))


def answer(tun: int, ended: int, address: str) -> None:
    """Answer for `address` until `ended` is readable."""
    while ended not in select.select([tun, ended], [], [])[0]:
        reply = _reply(os.read(tun, 2048), bytes(int(n) for n in address.split(".")))
        if reply:
            os.write(tun, reply)


def _reply(frame: bytes, address: bytes) -> bytes:
    """Return what answers an ARP or echo request for `address`, or nothing."""
    sender, kind, body = frame[6:12], frame[12:14], frame[14:]
    head = sender + _MAC + kind
    if kind == b"\x08\x06" and body[6:8] == b"\0\1" and body[24:28] == address:
        return head + body[:6] + b"\0\2" + _MAC + address + body[8:18]
    is_icmp = kind == b"\x08\0" and body[9] == 1 and body[16:20] == address
    if is_icmp and body[20] == _ECHO_REQUEST:
        (checksum,) = struct.unpack_from("!H", body, 22)
        checksum += _ECHO_REQUEST << 8  # the type is 0 now
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
        echo = b"\0\0" + struct.pack("!H", checksum) + body[24:]
        return head + body[:12] + body[16:20] + body[12:16] + echo
    return b""


if __name__ == "__main__":
    opened = os.open("/dev/net/tun", os.O_RDWR)
    os.setgroups([])
    os.setgid(int(sys.argv[4]))
    os.setuid(int(sys.argv[3]))
    attach(opened, queues=True, link=sys.argv[1])
    answer(opened, os.pipe()[0], sys.argv[2])
