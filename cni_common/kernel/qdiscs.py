# SPDX-License-Identifier: Apache-2.0
"""Queueing disciplines of a link: tbf, htb with one limited class, ingress (tc(8))."""

from __future__ import annotations

import errno
import struct

from cni_common.kernel import tc_message as tc
from cni_common.kernel.attributes import Attributes, attribute
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.tc_message import TcAnswer, TcRequest
from cni_common.spec.errors import CNIError, refused
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link

ROOT, _INGRESS_PARENT = 0xFFFFFFFF, 0xFFFFFFF1  # TC_H_ROOT, TC_H_INGRESS
ROOT_HANDLE, INGRESS_HANDLE = 0x00010000, 0xFFFF0000  # 1: and ffff:
# Filters of what comes in, be the discipline ingress or clsact (TC_H_MIN_INGRESS).
INGRESS = 0xFFFFFFF2
LIMITED = 0x00010030  # class 1:30
LEAF_HANDLE = 0x00300000  # 30:
_LIMITED_MINOR = LIMITED & 0xFFFF

_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: the kernel reckons without a rate table
_RATE = struct.Struct("=BBHhHI")  # struct tc_ratespec
_NUMBERS = {count: struct.Struct(f"={count}I") for count in (1, 3, 5)}
_U64 = struct.Struct("=Q")
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_HTB_VERSION, _HTB_QUANTUM = 3, 60_000
_ABSENT = frozenset({errno.ENOENT, errno.EINVAL, errno.ENODEV})
_UNHEARD = frozenset({errno.ENOBUFS, errno.ETIMEDOUT})

U32_MAX = (1 << 32) - 1
_TICK_SHIFT = 6  # PSCHED_SHIFT: a tick has 64 nanoseconds
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Bucket:
    """`rate` in bytes a second, `burst` in bytes, `queue` in bytes that may wait."""

    rate: int
    burst: int
    queue: int


@dataclass(frozen=True)
class Qdisc:
    """A discipline as the kernel shows it.

    For tbf `rate` in bytes a second, `burst_ticks` as `ticks` without
    the bits beyond 32, and `queue` in bytes; a bfifo has `queue`. For htb
    `limits_by_default` tells where packets go that no filter matches.
    """

    kind: str
    handle: int
    parent: int
    rate: int = 0
    burst_ticks: int = 0
    queue: int = 0
    limits_by_default: bool = False


def ticks(bucket: Bucket) -> int:
    """Return in ticks how long a whole burst takes at the rate.

    Reckoned as psched_ratecfg_precompute() and psched_l2t_ns() do, for CHECK compares
    with what the kernel says.
    """
    factor, shift = _NANOSECONDS, 0
    multiplier = factor // bucket.rate
    while not (multiplier & (1 << 31) or factor & (1 << 63)):
        factor <<= 1
        shift += 1
        multiplier = factor // bucket.rate
    return ((bucket.burst * multiplier) >> shift) >> _TICK_SHIFT


def add_tbf(netlink: Netlink, link: Link, bucket: Bucket) -> None:
    """Limit all that leaves by `link` to `bucket`; raises Code.INTERNAL.

    A link that has a discipline of somebody else is refused.
    """
    rate = _rate(bucket.rate) + _RATE.pack(0, 0, 0, 0, 0, 0)
    numbers = (bucket.queue, min(ticks(bucket), U32_MAX), 0)
    options = attribute(_TBF_PARMS, rate, _NUMBERS[3].pack(*numbers))
    options += _wide(_TBF_RATE64, bucket.rate)
    options += attribute(_TBF_BURST, _NUMBERS[1].pack(bucket.burst))
    wanted = Qdisc(
        "tbf",
        ROOT_HANDLE,
        ROOT,
        rate=bucket.rate,
        burst_ticks=ticks(bucket) & U32_MAX,
        queue=bucket.queue,
    )
    _add(netlink, link, wanted, options)


def add_htb(netlink: Netlink, link: Link, *, limits_by_default: bool) -> None:
    """Add a root that leads packets into the class LIMITED, or past it.

    Its filters say which go the other way; flow 1:0 is past it. The class is to be
    made by `add_limited_class`. Raises Code.INTERNAL.
    """
    default = _LIMITED_MINOR if limits_by_default else 0
    numbers = (_HTB_VERSION, 10, default, 0, 0)
    options = attribute(_HTB_INIT, _NUMBERS[5].pack(*numbers))
    wanted = Qdisc("htb", ROOT_HANDLE, ROOT, limits_by_default=limits_by_default)
    _add(netlink, link, wanted, options)


def add_limited_class(netlink: Netlink, link: Link, bucket: Bucket) -> None:
    """Add the class LIMITED to an htb root, with a queue as long as tbf's.

    htb takes a burst of at most 274 seconds at the rate. Raises Code.INTERNAL.
    """
    burst = min(ticks(bucket), U32_MAX)
    numbers = _NUMBERS[5].pack(burst, burst, _HTB_QUANTUM, 0, 0)
    options = attribute(_HTB_PARMS, _rate(bucket.rate) * 2, numbers)
    options += _wide(_HTB_RATE64, bucket.rate) + _wide(_HTB_CEIL64, bucket.rate)
    limited = TcRequest(
        link.index, "htb", handle=LIMITED, parent=ROOT_HANDLE, options=options
    )
    try:
        netlink.act((limited, tc.RTM_NEWTCLASS, CREATE | EXCLUSIVE))
    except NetlinkError as error:
        raise _refused(link, "class htb", error) from error
    leaf = Qdisc("bfifo", LEAF_HANDLE, LIMITED, queue=bucket.queue)
    _add(netlink, link, leaf, _NUMBERS[1].pack(bucket.queue))


def add_ingress(netlink: Netlink, link: Link) -> None:
    """Ensure a discipline for filters of what comes in by `link`; raises Code.INTERNAL.

    A link that has such a place already is refused; `has_ingress` tells.
    """
    _add(netlink, link, Qdisc("ingress", INGRESS_HANDLE, _INGRESS_PARENT), b"")


def has_ingress(netlink: Netlink, link: Link) -> bool:
    """Tell whether something filters what comes in by `link`.

    It is of the kind ingress or clsact; a link has one of them.
    """
    request = TcRequest(link.index, handle=INGRESS_HANDLE, parent=_INGRESS_PARENT)
    try:
        # The answer itself goes to those who listen to all changes.
        netlink.act((request, tc.RTM_GETQDISC, 0))
    except NetlinkError as error:
        if error.errno in _ABSENT:
            return False
        raise refused(f"find qdisc ingress of link {link.name}", error) from error
    return True


def delete_root(netlink: Netlink, link: Link, kind: str) -> None:
    """Delete the root discipline 1: of `kind`; any other one stays."""
    _delete(netlink, link, kind, ROOT_HANDLE, ROOT)


def delete_ingress(netlink: Netlink, link: Link) -> None:
    """Delete the ingress discipline with its filters; clsact stays."""
    _delete(netlink, link, "ingress", INGRESS_HANDLE, _INGRESS_PARENT)


def of_link(netlink: Netlink, link: Link) -> list[Qdisc]:
    """Return the disciplines of `link`; the kernel lists those of all links."""
    found = _dump(netlink, link, tc.RTM_GETQDISC)
    return [_qdisc(answer) for answer in found if answer.index == link.index]


def limited_class(netlink: Netlink, link: Link) -> tuple[int, int] | None:
    """Return rate and burst ticks of the class LIMITED, or None without it."""
    for answer in _dump(netlink, link, tc.RTM_GETTCLASS):
        if answer.kind == "htb" and answer.handle == LIMITED:
            parms = answer.options.raw(_HTB_PARMS)
            (burst,) = _NUMBERS[1].unpack_from(parms, 2 * _RATE.size)
            return _rate_of(answer.options, parms, _HTB_RATE64), burst
    return None


def _rate(rate: int) -> bytes:
    return _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, U32_MAX))


def _wide(kind: int, rate: int) -> bytes:
    return attribute(kind, _U64.pack(rate)) if rate > U32_MAX else b""


def _rate_of(options: Attributes, parms: bytes, wide: int) -> int:
    raw = options.raw(wide)
    return int(_U64.unpack(raw)[0] if raw else _RATE.unpack_from(parms)[5])


def _qdisc(answer: TcAnswer) -> Qdisc:
    identity = (answer.kind, answer.handle, answer.parent)
    if answer.kind == "tbf":
        parms = answer.options.raw(_TBF_PARMS)
        queue, burst, _ = _NUMBERS[3].unpack_from(parms, 2 * _RATE.size)
        rate = _rate_of(answer.options, parms, _TBF_RATE64)
        return Qdisc(*identity, rate=rate, burst_ticks=burst, queue=queue)
    if answer.kind == "htb":
        _, _, default, _, _ = _NUMBERS[5].unpack_from(answer.options.raw(_HTB_INIT))
        return Qdisc(*identity, limits_by_default=default == _LIMITED_MINOR)
    if answer.kind == "bfifo":
        (queue,) = _NUMBERS[1].unpack_from(answer.raw_options)
        return Qdisc(*identity, queue=queue)
    return Qdisc(*identity)


def _dump(netlink: Netlink, link: Link, kind: int) -> list[TcAnswer]:
    try:
        return netlink.dump(TcRequest(link.index), kind, TcAnswer)
    except NetlinkError as error:
        raise refused(f"list disciplines of link {link.name}", error) from error


def _add(netlink: Netlink, link: Link, wanted: Qdisc, options: bytes) -> None:
    """Add `wanted`, made by `options`.

    Where nobody hears the answer it is looked for: nobody else could tell it later from
    that of somebody else, and it would stay.
    """
    kind, handle, parent = wanted.kind, wanted.handle, wanted.parent
    request = TcRequest(link.index, kind, handle=handle, parent=parent, options=options)
    try:
        netlink.act((request, tc.RTM_NEWQDISC, CREATE | EXCLUSIVE))
    except NetlinkError as error:
        if error.errno not in _UNHEARD or wanted not in of_link(netlink, link):
            raise _refused(link, f"qdisc {kind}", error) from error


def _delete(netlink: Netlink, link: Link, kind: str, handle: int, parent: int) -> None:
    request = TcRequest(link.index, kind, handle=handle, parent=parent)
    try:
        netlink.act((request, tc.RTM_DELQDISC, 0))
    except NetlinkError as error:
        if error.errno not in _ABSENT:
            raise refused(f"delete qdisc {kind} of link {link.name}", error) from error


def _refused(link: Link, what: str, error: NetlinkError) -> CNIError:
    if error.errno == errno.EEXIST:
        error.strerror = "it has one already"
    return refused(f"add {what} to link {link.name}", error)
