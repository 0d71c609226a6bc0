# SPDX-License-Identifier: Apache-2.0
"""Whether somebody has an address already, asked by ARP (RFC 5227, 2.1)."""

from __future__ import annotations

import asyncio
import struct

from cni_common.spec.errors import refused
from cnipy.keeper.hearing import heard

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from cni_common.kernel.packets import Wire

_ETHERNET, _IPV4 = 1, 0x0800
_REQUEST = 1
_PACKET = struct.Struct(">HHBBH6s4s6s4s")
_NOBODY = bytes(6)
_NOWHERE = bytes(4)
_PROBES, _PAUSE = 2, 0.1  # s: RFC 5227 has three and up to 7 s, which an ADD has not
_HEARD_MAX = 1024  # packets behind a probe, however many come in


async def holder_of(wire: Wire, address: IPv4Address) -> str:
    """Return the MAC of who has `address` on the link's network, or nothing.

    Raises Code.INTERNAL.
    """
    loop = asyncio.get_running_loop()
    for _ in range(_PROBES):
        try:
            wire.send(probe(wire.mac, address))
        except OSError as error:
            raise refused(f"send on {wire.name}", error) from error
        until = loop.time() + _PAUSE
        for _ in range(_HEARD_MAX):
            found = await heard(wire, until)
            if found is None:
                break
            who = holder(found[0], wire.mac, address)
            if who is not None:
                return who.hex(":")
    return ""


def probe(mac: bytes, address: IPv4Address) -> bytes:
    """Return the question who has `address`, by which nobody learns of ours."""
    sender, target = (mac, _NOWHERE), (_NOBODY, address.packed)
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, _REQUEST, *sender, *target)


def holder(packet: bytes, mac: bytes, address: IPv4Address) -> bytes | None:
    """Return whose MAC a packet claims `address` for, or asks about it as we do.

    None if it is about another one, from `mac` itself, or no packet of ARP.
    """
    if len(packet) < _PACKET.size:
        return None
    *kind, number, sender, claimed, _, target = _PACKET.unpack_from(packet)
    if kind != [_ETHERNET, _IPV4, 6, 4] or sender == mac:
        return None
    probes = number == _REQUEST and claimed == _NOWHERE and target == address.packed
    return bytes(sender) if claimed == address.packed or probes else None
