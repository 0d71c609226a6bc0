# SPDX-License-Identifier: Apache-2.0
"""What host-local reads of the network configuration."""

from __future__ import annotations

import ipaddress

from pydantic import AfterValidator, Field, PlainValidator

from cni_common import requested_ips
from cni_common.leases import ranges
from cni_common.leases.directory import DATA_DIR
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.fields import (
    AddressText,
    Cidr,
    IPAddress,
    IPNetwork,
    OptionalAddress,
    address,
    cidr,
    subnet,
)
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import Ipam, NetConf
from cni_common.spec.result import Route  # noqa: TC001 - pydantic evaluates it
from cni_common.spec.typed import Annotated, Literal
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.netconf import Pool
    from cni_common.spec.request import Request


def _with_or_without_prefix(text: object) -> IPAddress:
    """Return the address of "10.1.2.3" or "10.1.2.3/24"."""
    if isinstance(text, str) and "/" in text:
        return cidr(text).ip
    return address(text)


def _network_or_address(text: object) -> IPNetwork:
    if isinstance(text, str) and "/" not in text:
        return ipaddress.ip_network(address(text))
    return subnet(text)


def _absolute(path: str) -> str:
    if path and (not path.startswith("/") or "\0" in path):
        raise ValueError(f"{path!r} is not an absolute path")
    return path


Requested = Annotated[IPAddress, PlainValidator(_with_or_without_prefix), AddressText]
Excluded = Annotated[IPNetwork, PlainValidator(_network_or_address), AddressText]
AbsolutePath = Annotated[
    str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": "^(/|$)"})
]


class RangeConf(GoModel):
    """One range; every key but `subnet` has a default that follows from it."""

    subnet: Cidr
    range_start: OptionalAddress = None
    range_end: OptionalAddress = None
    gateway: OptionalAddress = None
    exclude: list[Excluded] = Field(default_factory=list)

    def canonical(self) -> ranges.Range:
        """Return the range with its defaults filled in, or raise ValueError."""
        return ranges.canonical_range(
            self.subnet, self.range_start, self.range_end, self.gateway, self.exclude
        )


class IpamConf(Ipam):
    """`ipam`; the keys from `subnet` to `exclude` are the old form of one range."""

    subnet: Cidr | None = None
    range_start: OptionalAddress = None
    range_end: OptionalAddress = None
    gateway: OptionalAddress = None
    exclude: list[Excluded] = Field(default_factory=list)
    ranges: list[list[RangeConf]] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    data_dir: AbsolutePath = DATA_DIR
    resolv_conf: AbsolutePath = ""
    status_when_full: Literal["unavailable", "ready"] = "unavailable"


class RuntimeConf(GoModel):
    """`runtimeConfig`: the capabilities `ipRanges` and `ips`."""

    ip_ranges: list[list[RangeConf]] = Field(default_factory=list)
    ips: list[Requested] = Field(default_factory=list)


class CniArgs(GoModel):
    """`args.cni`."""

    ips: list[Requested] = Field(default_factory=list)


class Args(GoModel):
    """`args`, of which only the part named after the protocol is ours."""

    cni: CniArgs = Field(default_factory=CniArgs)


class HostLocalConf(NetConf):
    """The configuration of the delegating plugin, as an IPAM plugin sees it."""

    ipam: IpamConf = Field(default_factory=IpamConf)
    args: Args = Field(default_factory=Args)  # type: ignore[assignment]  # narrower than the base's plain object
    runtime_config: RuntimeConf = Field(default_factory=RuntimeConf)  # type: ignore[assignment]  # narrower than the base's plain object

    def pools(self) -> list[Pool]:
        """Return the ranges; none where they are no sets."""
        try:
            sets = self.range_sets()
        except CNIError:
            return []
        every = [each for one in sets for each in one.ranges]
        return [(each.subnet, each.start, each.end, each.gateway) for each in every]

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


def requested_addresses(request: Request, conf: HostLocalConf) -> list[IPAddress]:
    """Return the addresses asked for, each once: CNI_ARGS, args.cni, runtimeConfig.

    Raises Code.INVALID_ENVIRONMENT for a malformed CNI_ARGS.
    """
    found = requested_ips.of_args(request, "IP", _with_or_without_prefix)
    return list(dict.fromkeys([*found, *conf.args.cni.ips, *conf.runtime_config.ips]))


def _range_set(number: int, listed: list[RangeConf]) -> ranges.RangeSet:
    try:
        return ranges.range_set([item.canonical() for item in listed])
    except ValueError as error:
        raise invalid_key("ipam", f"invalid range set {number}: {error}") from error
