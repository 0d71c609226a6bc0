# SPDX-License-Identifier: Apache-2.0
"""Keys that every plugin has which gives addresses of this host."""

from __future__ import annotations

import ipaddress

from pydantic import AfterValidator, Field, PlainValidator

from cni_common import requested_ips, resolvconf
from cni_common.leases import ranges
from cni_common.leases.directory import DATA_DIR
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
from cni_common.spec.result import Dns, Route
from cni_common.spec.typed import Annotated, Literal

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

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

    def canonical(self, exclude: Iterable[IPNetwork] = ()) -> ranges.Range:
        """Return the range with its defaults filled in, or raise ValueError.

        Less what of `exclude` is of its family.
        """
        more = (each for each in exclude if each.version == self.subnet.version)
        return ranges.canonical_range(
            self.subnet,
            self.range_start,
            self.range_end,
            self.gateway,
            [*self.exclude, *more],
        )


class LeasingIpam(Ipam):
    """`ipam`, but for what says which addresses there are."""

    exclude: list[Excluded] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    data_dir: AbsolutePath = DATA_DIR
    resolv_conf: AbsolutePath = ""
    status_when_full: Literal["unavailable", "ready"] = "unavailable"

    def dns(self) -> Dns:
        """Return what `resolvConf` says, or raise Code.IO_FAILURE."""
        return resolvconf.read(self.resolv_conf) if self.resolv_conf else Dns()


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


class LeasingConf(NetConf):
    """The configuration of the delegating plugin, as far as addresses are asked for."""

    args: Args = Field(default_factory=Args)  # type: ignore[assignment]  # narrower than the base's plain object
    runtime_config: RuntimeConf = Field(default_factory=RuntimeConf)  # type: ignore[assignment]  # narrower than the base's plain object

    def requested(self, request: Request) -> list[IPAddress]:
        """Return the addresses asked for, each once: CNI_ARGS, args.cni, runtimeConfig.

        Raises Code.INVALID_ENVIRONMENT for a malformed CNI_ARGS.
        """
        found = requested_ips.of_args(request, "IP", _with_or_without_prefix)
        return list(
            dict.fromkeys([*found, *self.args.cni.ips, *self.runtime_config.ips])
        )
