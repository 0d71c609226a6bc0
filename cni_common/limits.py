# SPDX-License-Identifier: Apache-2.0
"""Limits of an attachment as values, and what the kernel's token buckets hold then."""

from __future__ import annotations

from cni_common.kernel.qdiscs import U32_MAX, Bucket
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPNetwork

LATENCY_MS = 25  # how long a packet may wait beyond what the burst allows
# Ethernet header and a VLAN tag: a frame is longer than the MTU by so many bytes.
_FRAME_OVERHEAD = 18
_BITS = 8


@dataclass(frozen=True)
class Limit:
    """`rate` in bits a second, `burst` in bits."""

    rate: int
    burst: int

    def bucket(self, mtu: int) -> Bucket:
        """Return the token bucket of a link with `mtu` in bytes.

        It holds one frame at least, for a longer frame than the burst never passes.
        """
        rate = self.rate // _BITS
        burst = max(self.burst // _BITS, mtu + _FRAME_OVERHEAD)
        queue = rate * LATENCY_MS // 1000 + burst
        return Bucket(rate, burst, min(queue, U32_MAX))

    def is_below_frame(self, mtu: int) -> bool:
        """Tell whether the burst is less than a frame of a link with `mtu`."""
        return self.burst // _BITS < mtu + _FRAME_OVERHEAD


@dataclass(frozen=True)
class Limits:
    """What the container receives (`ingress`) and sends (`egress`) at most.

    `subnets` are those of the far end: traffic with them alone is limited when
    `only`, else all but that.
    """

    ingress: Limit | None = None
    egress: Limit | None = None
    subnets: tuple[IPNetwork, ...] = ()
    only: bool = False
