# SPDX-License-Identifier: Apache-2.0
"""A filter at a link's entrance that drops what claims to be to or from 127.0.0.0/8.

It stands in traffic control, before netfilter, where no flush of a ruleset reaches it
(docs/decisions/0025). A program of classic BPF rather than u32, for that can see a VLAN
tag that the kernel has taken off already: one with the number 0 hides IP from filters
by protocol, a second one behind it hides it from all, and the kernel receives both.

Where br_netfilter is on, answers to 127.0.0.1 have that address already when they leave
the ports of a bridge; they pass by a mark, which only a ruleset gives.
"""

from __future__ import annotations

import errno
import struct
from _socket import if_nametoindex

from cni_common.kernel import tc_message as tc
from cni_common.kernel.attributes import attribute
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.tc_message import TcAnswer, TcRequest
from cni_common.spec.errors import refused

_QDISC, _ANY, _INGRESS, _EGRESS = 0xFFFF0000, 0xFFFFFFF1, 0xFFFFFFF2, 0xFFFFFFF3
_HANDLE = 0x7F000001
_PRIORITY = 1  # nothing may be asked before; redirected packets do not come back
_ETH_P_ALL = 0x0003
_LENGTH, _PROGRAM, _FLAGS = 4, 5, 8  # TCA_BPF_*
_DIRECT_ACTION = 1
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV})

_INSTRUCTION = struct.Struct("=HBBI")
_WORD, _BYTE, _EQUALS, _HAS, _AND, _RETURN = 0x20, 0x30, 0x15, 0x45, 0x54, 0x06
# SKF_AD_PROTOCOL, SKF_AD_MARK, SKF_AD_VLAN_TAG
_PROTOCOL, _MARK, _TAG = 0xFFFFF000, 0xFFFFF014, 0xFFFFF02C
_NETWORK = 0xFFF00000  # SKF_NET_OFF
_DROP, _NEXT_FILTER = 2, 0xFFFFFFFF  # TC_ACT_SHOT, TC_ACT_UNSPEC


def ensure(link: str, answer: int) -> bool:
    """Ensure the filter at `link`; it passes what has the bit `answer` of the mark.

    Tells whether a discipline was made to hold it.

    One that is there, whosever it is, is used. Raises NetlinkError where this kernel
    has no such filters, or somebody's filter of another kind has our priority.
    """
    index = if_nametoindex(link)
    with Netlink() as netlink:
        try:
            _add(netlink, index, answer)
        except NetlinkError as error:
            if error.errno != errno.EINVAL:
                raise
        else:
            return False
        made = True  # be its answer lost: there was none before
        try:
            made = _make_discipline(netlink, index)
            _add(netlink, index, answer)
        except NetlinkError:
            if made:
                _tried(netlink, _discipline(index), tc.RTM_DELQDISC)
            raise
        return made


def delete(link: str, *, discipline: bool) -> None:
    """Delete the filter at `link`, and the `discipline` unless others use it now.

    Raises Code.INTERNAL.
    """
    try:
        index = if_nametoindex(link)
    except OSError:
        return
    try:
        with Netlink() as netlink:
            _tried(netlink, _filter(index), tc.RTM_DELTFILTER)
            if discipline and not _is_used(netlink, index):
                _tried(netlink, _discipline(index), tc.RTM_DELQDISC)
    except NetlinkError as error:
        raise refused(f"delete filter of {link}", error) from error


def is_there(link: str) -> bool:
    """Tell whether the filter is at `link`."""
    try:
        with Netlink() as netlink:
            asked = _filter(if_nametoindex(link))
            netlink.get(asked, tc.RTM_GETTFILTER, TcAnswer)
    except OSError:
        return False
    return True


def _add(netlink: Netlink, index: int, answer: int) -> None:
    steps = _program(answer)
    program = b"".join(_INSTRUCTION.pack(*step) for step in steps)
    options = attribute(_LENGTH, struct.pack("=H", len(steps)))
    options += attribute(_PROGRAM, program)
    options += attribute(_FLAGS, struct.pack("=I", _DIRECT_ACTION))
    request = _filter(index, options)
    try:
        netlink.act((request, tc.RTM_NEWTFILTER, CREATE | EXCLUSIVE))
    except NetlinkError as error:
        if error.errno != errno.EEXIST:
            raise


def _program(answer: int) -> tuple[tuple[int, int, int, int], ...]:
    return (
        (_WORD, 0, 0, _PROTOCOL),
        (_EQUALS, 5, 0, 0x0800),
        (_EQUALS, 1, 0, 0x8100),  # a second tag; the first is off by now
        (_EQUALS, 0, 10, 0x88A8),
        (_WORD, 0, 0, _TAG),
        (_AND, 0, 0, 0x0FFF),
        (_EQUALS, 6, 7, 0),
        (_BYTE, 0, 0, _NETWORK + 12),  # first byte of the source
        (_EQUALS, 2, 0, 127),
        (_BYTE, 0, 0, _NETWORK + 16),  # and of the destination
        (_EQUALS, 0, 3, 127),
        (_WORD, 0, 0, _MARK),
        (_HAS, 1, 0, answer),
        (_RETURN, 0, 0, _DROP),
        (_RETURN, 0, 0, _NEXT_FILTER),
    )


def _make_discipline(netlink: Netlink, index: int) -> bool:
    """Ensure a discipline for filters; tell whether there was none."""
    try:
        netlink.act((_discipline(index), tc.RTM_NEWQDISC, CREATE | EXCLUSIVE))
    except NetlinkError as error:
        if error.errno != errno.EEXIST:
            raise
        return False
    return True


def _is_used(netlink: Netlink, index: int) -> bool:
    """Tell whether a filter is in the discipline, of what comes in or goes out."""
    return any(
        netlink.dump(TcRequest(index, parent=parent), tc.RTM_GETTFILTER, TcAnswer)
        for parent in (_INGRESS, _EGRESS)
    )


def _tried(netlink: Netlink, request: TcRequest, kind: int) -> None:
    try:
        netlink.act((request, kind, 0))
    except NetlinkError as error:
        if error.errno not in _ABSENT:
            raise


def _discipline(index: int) -> TcRequest:
    return TcRequest(index, "clsact", handle=_QDISC, parent=_ANY)


def _filter(index: int, options: bytes = b"") -> TcRequest:
    return TcRequest(
        index,
        "bpf",
        handle=_HANDLE,
        parent=_INGRESS,
        priority=_PRIORITY,
        protocol=_ETH_P_ALL,
        options=options,
    )
