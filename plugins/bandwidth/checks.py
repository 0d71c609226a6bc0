# SPDX-License-Identifier: Apache-2.0
"""What CHECK looks at: disciplines, class, filters and ifb as the kernel has them."""

from __future__ import annotations

from cni_common.kernel import filters, qdiscs
from cni_common.kernel.token_bucket import U32_MAX, ticks
from cni_common.spec.errors import CNIError, Code
from plugins.bandwidth import shaping

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.filters import Filter
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.qdiscs import Qdisc
    from cni_common.kernel.token_bucket import Bucket
    from plugins.bandwidth.limits import Limits
    from plugins.bandwidth.record import Record


def limited(host: Netlink, veth: Link, noted: Record, limits: Limits) -> None:
    """Raise code 999, naming what is missing, unless `limits` are in force at `veth`.

    `noted` says which ifb it is, and for which MTU the bursts were reckoned.
    """
    if limits.ingress is not None:
        bucket = limits.ingress.bucket(noted.mtu)
        if limits.subnets:
            _check_htb(host, veth, bucket, limits)
        else:
            _check_tbf(host, veth, bucket)
    if limits.egress is not None:
        ifb = shaping.own_ifb(host, noted)
        if ifb is None:
            raise _failed(f"missing ifb {' or '.join(noted.ifbs)}")
        if not ifb.is_up:
            raise _failed(f"ifb {ifb.name} is down")
        _check_tbf(host, ifb, limits.egress.bucket(noted.mtu))
        if not qdiscs.has_ingress(host, veth):
            raise _failed(f"missing qdisc ingress of link {veth.name}")
        wanted = shaping.egress_filters(limits, ifb)
        _check_filters(host, veth, qdiscs.INGRESS, wanted)


def _check_tbf(host: Netlink, link: Link, bucket: Bucket) -> None:
    tbf = _find(host, link, "tbf", qdiscs.ROOT_HANDLE)
    # The kernel counts a burst's ticks in more bits than it shows.
    wanted = (bucket.rate, ticks(bucket) & U32_MAX, bucket.queue)
    _compare(f"qdisc tbf of link {link.name}", tbf, wanted)


def _check_htb(host: Netlink, link: Link, bucket: Bucket, limits: Limits) -> None:
    root = _find(host, link, "htb", qdiscs.ROOT_HANDLE)
    if root.limits_by_default == limits.only:
        raise _failed(f"qdisc htb of link {link.name} has another default class")
    listed = qdiscs.limited_class(host, link)
    if listed is None:
        raise _failed(f"missing class htb 1:30 of link {link.name}")
    leaf = _find(host, link, "bfifo", qdiscs.LEAF_HANDLE)
    rate, burst = listed
    found = qdiscs.Qdisc("htb", 0, 0, rate=rate, burst_ticks=burst, queue=leaf.queue)
    wanted = (bucket.rate, min(ticks(bucket), U32_MAX), bucket.queue)
    _compare(f"class htb 1:30 of link {link.name}", found, wanted)
    parent = qdiscs.ROOT_HANDLE
    _check_filters(host, link, parent, shaping.ingress_filters(limits))


def _compare(what: str, found: Qdisc, wanted: tuple[int, int, int]) -> None:
    names = ("rate", "burst", "queue")
    values = (found.rate, found.burst_ticks, found.queue)
    units = ("bytes a second", "ticks of 64 ns", "bytes")
    for name, value, expected, unit in zip(names, values, wanted, units, strict=True):
        if value != expected:
            raise _failed(f"{what} has {name} {value}, not {expected} {unit}")


def _find(host: Netlink, link: Link, kind: str, handle: int) -> Qdisc:
    for qdisc in qdiscs.of_link(host, link):
        if qdisc.kind == kind and qdisc.handle == handle:
            return qdisc
    raise _failed(f"missing qdisc {kind} of link {link.name}")


def _check_filters(
    host: Netlink, link: Link, parent: int, wanted: list[Filter]
) -> None:
    missing = set(wanted) - set(filters.of_link(host, link, parent))
    if missing:
        count = f"{len(missing)} of {len(wanted)}"
        raise _failed(f"missing filters u32 of link {link.name}: {count}")


def _failed(cause: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"check limits: {cause}")
