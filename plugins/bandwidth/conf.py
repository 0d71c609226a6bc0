# SPDX-License-Identifier: Apache-2.0
"""What an administrator and a runtime may write for bandwidth."""

from __future__ import annotations

from pydantic import Field

from cni_common.limits import Limit, Limits
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Subnet
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import WITHOUT_HOST_END, NetConf
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Bits = Annotated[int, Field(ge=0, lt=1 << 64)]
RATE_MIN = 8  # bits a second; the kernel counts whole bytes
BURST_MAX = 8 * (1 << 32) - 9  # bits; the kernel counts bytes in 32 bits
_RUNTIME = "runtimeConfig.bandwidth."


class Bandwidth(GoModel):
    """Rates in bits a second and bursts in bits; 0 is no limit."""

    ingress_rate: Bits | None = None
    ingress_burst: Bits | None = None
    egress_rate: Bits | None = None
    egress_burst: Bits | None = None
    unshaped_subnets: list[Subnet] | None = None
    shaped_subnets: list[Subnet] | None = None

    def has_rates(self) -> bool:
        """Tell whether a rate or a burst is written, be it as 0."""
        rates = (self.ingress_rate, self.egress_rate)
        bursts = (self.ingress_burst, self.egress_burst)
        return any(number is not None for number in (*rates, *bursts))

    def has_subnets(self) -> bool:
        """Tell whether subnets are written."""
        return bool(self.unshaped_subnets or self.shaped_subnets)

    def limits(self, where: str) -> tuple[Limit | None, Limit | None]:
        """Return the limits of ingress and egress.

        Raises Code.INVALID_CONFIG for half of one.
        """
        ingress = _limit(f"{where}ingress", self.ingress_rate, self.ingress_burst)
        egress = _limit(f"{where}egress", self.egress_rate, self.egress_burst)
        return ingress, egress

    def subnets(self, where: str) -> Limits:
        """Return without rates whose traffic is limited.

        Raises Code.INVALID_CONFIG for both.
        """
        shaped = tuple(dict.fromkeys(self.shaped_subnets or ()))
        unshaped = tuple(dict.fromkeys(self.unshaped_subnets or ()))
        if shaped and unshaped:
            msg = f"use {where}shapedSubnets: {where}unshapedSubnets is given too"
            raise CNIError(Code.INVALID_CONFIG, msg)
        return Limits(subnets=shaped or unshaped, only=bool(shaped))


class RuntimeConfig(GoModel):
    """The capability that bandwidth reads."""

    bandwidth: Bandwidth = Field(default_factory=Bandwidth)


class BandwidthConf(Bandwidth, NetConf):
    """The configuration of bandwidth."""

    runtime_config: RuntimeConfig = Field(default_factory=RuntimeConfig)  # type: ignore[assignment]  # narrower than the base's plain object

    def doubts(self, declared: Collection[str], before: Sequence[NetConf]) -> list[str]:
        """Return that nothing is limited, or that there is no end to limit it at."""
        asks = "bandwidth" in declared or self.runtime_config.bandwidth.has_rates()
        if not (self.has_rates() or asks):
            return ['nothing is limited without rates or "capabilities"']
        found = [each.type for each in before if each.type in WITHOUT_HOST_END]
        return [f"{kind} has no end on the host to limit it at" for kind in found[:1]]

    def validated(self) -> Limits | None:
        """Return what is to be limited, or None.

        Rates of the configuration win over all that the runtime asks for, and so do its
        subnets. Raises Code.INVALID_CONFIG for a contradiction.
        """
        asked = self.runtime_config.bandwidth
        rates, where = (self, "") if self.has_rates() else (asked, _RUNTIME)
        ingress, egress = rates.limits(where)
        chosen, where = (self, "") if self.has_subnets() else (asked, _RUNTIME)
        subnets = chosen.subnets(where)
        if ingress is None and egress is None:
            return None
        return Limits(ingress, egress, subnets.subnets, subnets.only)


def _limit(name: str, rate: int | None, burst: int | None) -> Limit | None:
    rate, burst = rate or 0, burst or 0
    if rate and not burst:
        cause = f"use {name}Rate {rate}: {name}Burst is missing"
    elif burst and not rate:
        cause = f"use {name}Burst {burst}: {name}Rate is missing"
    elif rate and rate < RATE_MIN:
        cause = f"use {name}Rate {rate}: less than {RATE_MIN} bits a second"
    elif burst > BURST_MAX:
        cause = f"use {name}Burst {burst}: more than {BURST_MAX} bits (4 GiB)"
    else:
        return Limit(rate, burst) if rate else None
    raise CNIError(Code.INVALID_CONFIG, cause)
