# SPDX-License-Identifier: Apache-2.0
"""What host-local reads of the network configuration."""

from __future__ import annotations

from pydantic import Field

from cni_common.leases import ranges
from cni_common.leases.keys import LeasingConf, LeasingIpam, RangeConf
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.fields import Cidr, OptionalAddress  # noqa: TC001 - pydantic evaluates them
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.netconf import Pool
    from cni_common.spec.request import Request


class IpamConf(LeasingIpam):
    """`ipam`; the keys from `subnet` to `exclude` are the old form of one range."""

    subnet: Cidr | None = None
    range_start: OptionalAddress = None
    range_end: OptionalAddress = None
    gateway: OptionalAddress = None
    ranges: list[list[RangeConf]] = Field(default_factory=list)


class HostLocalConf(LeasingConf):
    """The configuration of the delegating plugin, as an IPAM plugin sees it."""

    ipam: IpamConf = Field(default_factory=IpamConf)

    def pools(self) -> list[Pool]:
        """Return the ranges; none where they are no sets."""
        try:
            sets = self.range_sets()
        except CNIError:
            return []
        return ranges.pools(sets)

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG without ranges, unless the runtime sends some."""
        self.sets_for(request)

    def sets_for(self, request: Request) -> list[ranges.RangeSet]:
        """Return the sets as far as they are known before ADD.

        There must be one, unless the runtime sends some; else raises
        Code.INVALID_CONFIG.
        """
        declared = gojson.member(request.document, "capabilities")
        if isinstance(declared, dict) and gojson.member(declared, "ipRanges") is True:
            return self.range_sets()
        return self.required_range_sets()

    def range_sets(self) -> list[ranges.RangeSet]:
        """Return the sets that one address each comes from, or raise
        Code.INVALID_CONFIG.

        The order is the runtime's ipRanges, the old form's range, `ranges`. There
        are none if nothing is configured.
        """
        listed = [*self.runtime_config.ip_ranges]
        if self.ipam.subnet is not None:
            keys = RangeConf.model_fields
            listed.append(
                [RangeConf.model_construct(**{k: getattr(self.ipam, k) for k in keys})]
            )
        listed += self.ipam.ranges
        sets = [_range_set(number, item) for number, item in enumerate(listed)]
        try:
            ranges.refuse_overlap(sets)
        except ValueError as error:
            raise invalid_key("ipam", str(error)) from error
        version = self.cni_version or "0.1.0"
        families = [item.version for item in sets]
        if not at_least(version, "0.3.0") and len(set(families)) < len(families):
            cause = "does not support more than 1 address per family"
            raise invalid_key("ipam", f"CNI version {version} {cause}")
        return sets

    def required_range_sets(self) -> list[ranges.RangeSet]:
        """Return the range sets, of which there must be one; else raise
        Code.INVALID_CONFIG.
        """
        sets = self.range_sets()
        if not sets:
            given = "ipam" in self.model_fields_set
            missing = "IPAM config missing 'ipam' key"
            raise invalid_key("ipam", "no IP ranges specified" if given else missing)
        return sets


def _range_set(number: int, listed: list[RangeConf]) -> ranges.RangeSet:
    try:
        return ranges.range_set([item.canonical() for item in listed])
    except ValueError as error:
        raise invalid_key("ipam", f"invalid range set {number}: {error}") from error
