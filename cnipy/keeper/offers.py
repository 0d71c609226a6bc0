# SPDX-License-Identifier: Apache-2.0
"""Whether what a server offers or gives is of use, and what it is then."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from cni_common.spec.values import dataclass
from cnipy.keeper import message, options
from cnipy.keeper.datagram import NOWHERE
from cnipy.keeper.message import Kind
from plugins.dhcp import codes
from plugins.dhcp.lease import Grant

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cnipy.keeper.message import Answer

_SHORT = 60  # seconds, of a lease that keeps the network busy


@dataclass(frozen=True)
class Said:
    """An answer, from which MAC, and when its question was first asked."""

    answer: Answer
    mac: str
    asked: float


def grant(said: Said) -> Grant:
    """Return what is given by an answer without a flaw."""
    answer = said.answer
    lasts = _seconds(answer)
    first = answer.seconds(codes.RENEWAL) or lasts // 2
    second = answer.seconds(codes.REBINDING) or lasts * 7 // 8
    if not first <= second <= lasts:
        first, second = lasts // 2, lasts * 7 // 8
    return Grant(
        address=_interface(answer),
        server=answer.server,
        server_mac=said.mac,
        options=dict(answer.options),
        obtained=said.asked,
        lasts=lasts,
        renewal=first,
        rebinding=second,
    )


def doubt(answer: Answer, wanted: IPv4Address) -> str:
    """Return why another offer would be better, or nothing."""
    network = _interface(answer).network
    routers = options.addresses(answer.options, codes.ROUTERS)
    if routers and routers[0] not in network:
        return f"{answer.yours} with the router {routers[0]} outside of {network}"
    if _seconds(answer) < _SHORT:
        return f"{answer.yours} for {_seconds(answer)} s"
    if int(wanted) and answer.yours != wanted:
        return f"{answer.yours} in the place of {wanted}"
    return ""


def flaw(answer: Answer) -> str:
    """Return why nobody can use what is offered or given, or nothing."""
    yours = answer.yours
    if answer.kind == Kind.NAK:
        return ""
    if not int(answer.server):
        return "without saying who it is"
    if not int(yours) or yours.is_loopback or yours.is_multicast or yours.is_reserved:
        return "which is no address of a host"
    return _flaw_of_mask(answer) or ("" if _seconds(answer) else "for 0 s")


def _flaw_of_mask(answer: Answer) -> str:
    mask = answer.options.get(codes.MASK, b"")
    if len(mask) != len(NOWHERE.packed):
        return "without a subnet mask"
    behind = ~int.from_bytes(mask, "big") & 0xFFFFFFFF
    if behind == 0xFFFFFFFF or behind & (behind + 1):  # noqa: PLR2004 - all bits
        return f"with the subnet mask {IPv4Address(mask)}"
    network = _interface(answer).network
    ends = {network.network_address, network.broadcast_address}
    if network.num_addresses > 2 and answer.yours in ends:  # noqa: PLR2004 - RFC 3021
        return f"which is no address of a host in {network}"
    return ""


def _interface(answer: Answer) -> IPv4Interface:
    mask = IPv4Address(answer.options[codes.MASK])
    length = IPv4Network(f"0.0.0.0/{mask}").prefixlen
    return IPv4Interface((answer.yours, length))


def _seconds(answer: Answer) -> int:
    return answer.seconds(message.LEASE_TIME) or 0
