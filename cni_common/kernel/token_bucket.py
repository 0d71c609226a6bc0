# SPDX-License-Identifier: Apache-2.0
"""A token bucket as the kernel counts it (include/net/sch_generic.h, tc-tbf(8))."""

from __future__ import annotations

from cni_common.spec.values import dataclass

U32_MAX = (1 << 32) - 1
_TICK_SHIFT = 6  # PSCHED_SHIFT: a tick has 64 nanoseconds
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Bucket:
    """`rate` in bytes a second, `burst` in bytes, `queue` in bytes that may wait."""

    rate: int
    burst: int
    queue: int


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
