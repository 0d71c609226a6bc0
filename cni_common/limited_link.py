# SPDX-License-Identifier: Apache-2.0
"""A link whose traffic is limited, and what of the limits is missing there."""

from __future__ import annotations

from cni_common.attachment.part import Part, differences_of
from cni_common.kernel import filters, qdiscs
from cni_common.limits import Limit
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Difference
    from cni_common.kernel.filters import Filter
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.kernel.qdiscs import Bucket, Qdisc
    from cni_common.spec.fields import IPNetwork

PROTOCOLS = {4: filters.ETH_P_IP, 6: filters.ETH_P_IPV6}


class LimitedLink(Part):
    """A part that limits what passes by `link` of the host, of that `index`.

    `rate` in bits a second, `burst` in bits; it holds a frame of `mtu` bytes at least.
    """

    if TYPE_CHECKING:
        link: str
        index: int
        mtu: int
        rate: int
        burst: int

        def require(self, node: Node) -> None:
            """Raise Code.INTERNAL for the first thing that is missing or another."""

    @property
    def bucket(self) -> Bucket:
        """The limit as the kernel counts it."""
        return Limit(self.rate, self.burst).bucket(self.mtu)

    def loss(self, node: Node) -> str:
        """Tell whether the link is gone."""
        link = find(node, self.link, self.index)
        return "" if link else f"link {self.link} is gone"

    def repair(self, node: Node) -> None:
        """Limit the link anew; raises Code.INTERNAL."""
        self.remove(node)
        self.ensure(node)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the first thing that is missing or another."""
        yield from differences_of(self.require, node)


def find(node: Node, name: str, index: int) -> Link | None:
    """Return the link of the host, or None when it is gone, be its name another's."""
    link = node.find(name)
    return link if link is not None and link.index == index else None


def existing(node: Node, name: str, index: int) -> Link:
    """Return the link of the host; raises Code.INTERNAL when it is gone."""
    link = find(node, name, index)
    if link is None:
        raise failed(f"link {name} is gone")
    return link


def require_tbf(host: Netlink, link: Link, bucket: Bucket) -> None:
    """Raise Code.INTERNAL unless what leaves by `link` is limited to `bucket`."""
    tbf = _discipline(host, link, "tbf", qdiscs.ROOT_HANDLE)
    # The kernel counts a burst's ticks in more bits than it shows.
    wanted = (bucket.rate, qdiscs.ticks(bucket) & qdiscs.U32_MAX, bucket.queue)
    _compare(f"qdisc tbf of link {link.name}", tbf, wanted)


def require_htb(host: Netlink, link: Link, bucket: Bucket, *, by_default: bool) -> None:
    """Raise Code.INTERNAL unless a class of `link` is limited to `bucket`.

    All is, `by_default`, but what filters lead past it; else what they lead there.
    """
    root = _discipline(host, link, "htb", qdiscs.ROOT_HANDLE)
    if root.limits_by_default != by_default:
        raise failed(f"qdisc htb of link {link.name} has another default class")
    listed = qdiscs.limited_class(host, link)
    if listed is None:
        raise failed(f"missing class htb 1:30 of link {link.name}")
    leaf = _discipline(host, link, "bfifo", qdiscs.LEAF_HANDLE)
    rate, burst = listed
    found = qdiscs.Qdisc("htb", 0, 0, rate=rate, burst_ticks=burst, queue=leaf.queue)
    wanted = (bucket.rate, min(qdiscs.ticks(bucket), qdiscs.U32_MAX), bucket.queue)
    _compare(f"class htb 1:30 of link {link.name}", found, wanted)


def require_filters(
    host: Netlink, link: Link, parent: int, wanted: Iterable[Filter]
) -> None:
    """Raise Code.INTERNAL unless the discipline `parent` of `link` has the filters."""
    every = set(wanted)
    missing = every - set(filters.of_link(host, link, parent))
    if missing:
        count = f"{len(missing)} of {len(every)}"
        raise failed(f"missing filters u32 of link {link.name}: {count}")


def rate(bits: int) -> str:
    """Return bits a second as a person reads them, exactly: 1.5 Gbit/s."""
    for unit, factor in (("Gbit", 10**9), ("Mbit", 10**6), ("kbit", 10**3)):
        if bits >= factor:
            number = f"{bits / factor:.9f}".rstrip("0").rstrip(".")
            return f"{number} {unit}/s"
    return f"{bits} bit/s"


def told(way: str, subnets: Iterable[IPNetwork], *, only: bool) -> str:
    """Return which traffic is limited, if it is not all."""
    listed = ", ".join(map(str, subnets))
    which = f"only {way}" if only else f"but not {way}"
    return f", {which} {listed}" if listed else ""


def failed(cause: str) -> CNIError:
    """Return what CHECK says."""
    return CNIError(Code.INTERNAL, f"check limits: {cause}")


def _compare(what: str, found: Qdisc, wanted: tuple[int, int, int]) -> None:
    names = ("rate", "burst", "queue")
    values = (found.rate, found.burst_ticks, found.queue)
    units = ("bytes a second", "ticks of 64 ns", "bytes")
    for name, value, expected, unit in zip(names, values, wanted, units, strict=True):
        if value != expected:
            raise failed(f"{what} has {name} {value}, not {expected} {unit}")


def _discipline(host: Netlink, link: Link, kind: str, handle: int) -> Qdisc:
    for qdisc in qdiscs.of_link(host, link):
        if qdisc.kind == kind and qdisc.handle == handle:
            return qdisc
    raise failed(f"missing qdisc {kind} of link {link.name}")
