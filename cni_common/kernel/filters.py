# SPDX-License-Identifier: Apache-2.0
"""Filters of traffic control: u32, to a class, to another link, or out (tc-u32(8))."""

from __future__ import annotations

import errno
import struct

from cni_common.kernel.attributes import Attributes, attribute, text
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.tc_message import (
    RTM_DELTFILTER,
    RTM_GETTFILTER,
    RTM_NEWTFILTER,
    TcAnswer,
    TcRequest,
)
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPNetwork

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
_CLASSID, _SEL, _ACT = 1, 5, 7  # TCA_U32_*
_FIRST_ACTION = 1
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_STOLEN = 4  # TC_ACT_STOLEN
_EGRESS_REDIRECT, _INGRESS_REDIRECT = 1, 3  # TCA_*_REDIR
_GACT_PARMS, _SHOT = 2, 2  # TCA_GACT_PARMS, TC_ACT_SHOT
_TERMINAL = 1  # TC_U32_TERMINAL
_SELECTOR = struct.Struct("=BBBxHHhhI")
_KEY = struct.Struct("=4s4sii")
_MIRRED = struct.Struct("=IIiiiiI")
_GACT = struct.Struct("=IIiii")
_WORD = 4
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV})
_NUMBER = struct.Struct("=I")
# Offset of an address from the start of the IP header, by family: source, destination.
_OFFSETS = {4: (12, 16), 6: (8, 24)}
EVERYTHING = (_KEY.pack(bytes(_WORD), bytes(_WORD), 0, 0),)


@dataclass(frozen=True)
class Filter:
    """A u32 filter: packets with `keys` go to `flow`, or to the link `redirect`.

    The latter is an index, as is `received_by`: that link has them as if they had come
    in by it; or they are no more if it `drops`. With none of these the search ends: the
    packet goes its usual way. A lower `priority` is tried first; one priority has one
    `protocol`.
    """

    priority: int
    protocol: int
    keys: tuple[bytes, ...] = EVERYTHING
    flow: int = 0
    redirect: int = 0
    drops: bool = False
    received_by: int = 0


def keys(network: IPNetwork, *, source: bool) -> tuple[bytes, ...]:
    """Return what matches packets from `network`, or else packets to it."""
    address = network.network_address.packed
    mask = network.netmask.packed
    offset = _OFFSETS[network.version][0 if source else 1]
    words = range(0, len(address), _WORD)
    found = (
        _KEY.pack(mask[at : at + _WORD], address[at : at + _WORD], offset + at, 0)
        for at in words
        if any(mask[at : at + _WORD])
    )
    return tuple(found) or EVERYTHING


def add(netlink: Netlink, link: Link, parent: int, wanted: Sequence[Filter]) -> None:
    """Add filters to the discipline `parent` of `link`; raises Code.INTERNAL."""
    requests = [
        TcRequest(
            link.index,
            "u32",
            parent=parent,
            priority=one.priority,
            protocol=one.protocol,
            options=_options(one),
        )
        for one in wanted
    ]
    flags = CREATE | EXCLUSIVE
    try:
        netlink.act(*((request, RTM_NEWTFILTER, flags) for request in requests))
    except NetlinkError as error:
        raise refused(f"add filter u32 to link {link.name}", error) from error


def delete(
    netlink: Netlink, link: Link, parent: int, unwanted: Iterable[tuple[int, int]]
) -> None:
    """Delete filters of the priorities and protocols `unwanted`.

    Raises Code.INTERNAL.
    """
    requests = [
        (TcRequest(link.index, parent=parent, priority=priority, protocol=protocol),)
        for priority, protocol in sorted(set(unwanted))
    ]
    for error in netlink.outcomes([(*one, RTM_DELTFILTER, 0) for one in requests]):
        if error is not None and error.errno not in _ABSENT:
            raise refused(f"delete filter u32 of link {link.name}", error) from error


def is_any(netlink: Netlink, link: Link, parent: int) -> bool:
    """Tell whether the discipline `parent` of `link` has a filter of any kind."""
    return bool(_dump(netlink, link, parent))


def of_link(netlink: Netlink, link: Link, parent: int) -> list[Filter]:
    """Return the u32 filters at the discipline `parent` of `link`."""
    # The hash table in which u32 keeps filters is listed like one, without keys.
    return [
        _filter(one)
        for one in _dump(netlink, link, parent)
        if one.kind == "u32" and one.options.raw(_SEL)
    ]


def _dump(netlink: Netlink, link: Link, parent: int) -> list[TcAnswer]:
    """Return all that is at the discipline `parent` of `link`."""
    request = TcRequest(link.index, parent=parent)
    try:
        return netlink.dump(request, RTM_GETTFILTER, TcAnswer)
    except NetlinkError as error:
        raise refused(f"list filters of link {link.name}", error) from error


def _options(wanted: Filter) -> bytes:
    head = _SELECTOR.pack(_TERMINAL, 0, len(wanted.keys), 0, 0, 0, 0, 0)
    options = attribute(_SEL, head, *wanted.keys)
    if wanted.flow:
        options += attribute(_CLASSID, _NUMBER.pack(wanted.flow))
    if wanted.redirect:
        options += _redirection(wanted.redirect, _EGRESS_REDIRECT)
    if wanted.received_by:
        options += _redirection(wanted.received_by, _INGRESS_REDIRECT)
    if wanted.drops:
        parms = _GACT.pack(0, 0, _SHOT, 0, 0)
        options += _action("gact", attribute(_GACT_PARMS, parms))
    return options


def _redirection(index: int, kind: int) -> bytes:
    parms = _MIRRED.pack(0, 0, _STOLEN, 0, 0, kind, index)
    return _action("mirred", attribute(_MIRRED_PARMS, parms))


def _action(kind: str, parms: bytes) -> bytes:
    named = text(_ACT_KIND, kind) + attribute(_ACT_OPTIONS, parms)
    return attribute(_ACT, attribute(_FIRST_ACTION, named))


def _filter(answer: TcAnswer) -> Filter:
    raw = answer.options.raw(_SEL)[_SELECTOR.size :]
    starts = range(0, len(raw) - _KEY.size + 1, _KEY.size)
    return Filter(
        answer.priority,
        answer.protocol,
        tuple(raw[at : at + _KEY.size] for at in starts),
        answer.options.number(_CLASSID),
        _redirected_to(answer.options),
        _is_dropped(answer.options),
    )


def _redirected_to(options: Attributes) -> int:
    action = options.nested(_ACT).nested(_FIRST_ACTION)
    if action.text(_ACT_KIND) != "mirred":
        return 0
    parms = action.nested(_ACT_OPTIONS).raw(_MIRRED_PARMS)
    *_, kind, index = _MIRRED.unpack_from(parms)
    return index if kind == _EGRESS_REDIRECT else 0


def _is_dropped(options: Attributes) -> bool:
    action = options.nested(_ACT).nested(_FIRST_ACTION)
    if action.text(_ACT_KIND) != "gact":
        return False
    _, _, verdict, _, _ = _GACT.unpack_from(
        action.nested(_ACT_OPTIONS).raw(_GACT_PARMS)
    )
    return bool(verdict == _SHOT)
