# SPDX-License-Identifier: Apache-2.0
"""What static reads of the network configuration, and which addresses follow."""

from __future__ import annotations

from pydantic import Field, PlainValidator, model_validator

from cni_common import requested_ips
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code, invalid_key
from cni_common.spec.fields import (
    CidrText,
    IPAddress,
    IPInterface,
    OptionalAddress,
    address,
    cidr,
)
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import Ipam, NetConf
from cni_common.spec.result import IP, Dns, Route
from cni_common.spec.typed import Annotated
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Self

    from cni_common.spec.netconf import Pool
    from cni_common.spec.request import Request


def _with_prefix(text: object, expected: str) -> IPInterface:
    """Return an address with its prefix length, or raise ValueError with `expected`."""
    try:
        return cidr(text)
    except ValueError:
        raise ValueError(f"{expected}, got: {text!r}") from None


def _configured(text: object) -> IPInterface:
    return _with_prefix(text, "the 'address' field is expected to be in CIDR notation")


def _requested(text: object) -> IPInterface:
    return _with_prefix(text, "an entry in the 'ips' field is NOT in CIDR notation")


def _of_args(text: object) -> IPInterface:
    return _with_prefix(text, "the 'ip' field is expected to be in CIDR notation")


def _gateway(text: object) -> IPAddress:
    try:
        return address(text)
    except ValueError:
        raise ValueError(f"invalid gateway address: {text}") from None


Configured = Annotated[IPInterface, PlainValidator(_configured), CidrText]
Requested = Annotated[IPInterface, PlainValidator(_requested), CidrText]


class AddressConf(GoModel):
    """One of `addresses`; its gateway may lie outside the subnet.

    The address may be missing where the runtime gives the addresses, which replace
    these: what is written then is the gateway alone.
    """

    address: Configured | None = None
    gateway: OptionalAddress = None

    @model_validator(mode="after")
    def _has_one_family(self) -> Self:
        if not self.gateway or self.address is None:
            return self
        if self.gateway.version != self.address.version:
            msg = f"gateway {self.gateway} is not the same protocol"
            raise ValueError(f"{msg} as address {self.address}")
        return self


class IpamConf(Ipam):
    """`ipam`."""

    addresses: list[AddressConf] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    dns: Dns = Field(default_factory=Dns)


class Ips(GoModel):
    """`runtimeConfig` with the capability `ips`, and `args.cni`."""

    ips: list[Requested] = Field(default_factory=list)


class Args(GoModel):
    """`args`, of which only the part named after the protocol is ours."""

    cni: Ips = Field(default_factory=Ips)


class StaticConf(NetConf):
    """The configuration of the delegating plugin, as an IPAM plugin sees it."""

    ipam: IpamConf = Field(default_factory=IpamConf)
    args: Args = Field(default_factory=Args)  # type: ignore[assignment]  # narrower than the base's plain object
    runtime_config: Ips = Field(default_factory=Ips)  # type: ignore[assignment]  # narrower than the base's plain object

    def doubts(
        self,
        declared: Collection[str],
        before: Sequence[NetConf],  # noqa: ARG002 - as the base's
    ) -> list[str]:
        """Return that there is no address, if the runtime is not asked for one."""
        given = (self.ipam.addresses, self.args.cni.ips, self.runtime_config.ips)
        if any(given) or "ips" in declared:
            return []
        return ['static gives no address without "addresses" or the capability "ips"']

    def pools(self) -> list[Pool]:
        """Return each address by itself."""
        listed = [(each.address, each.gateway) for each in self.ipam.addresses]
        return [
            (held.network, held.ip, held.ip, gateway)
            for held, gateway in listed
            if held is not None
        ]

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG for addresses that ADD would not take.

        Where the runtime gives them, it does so on ADD alone.
        """
        declared = gojson.member(request.document, "capabilities")
        if isinstance(declared, dict) and gojson.member(declared, "ips") is True:
            return
        self.addresses(request)

    def addresses(self, request: Request) -> list[IP]:
        """Return the addresses of the attachment, each once, with their gateways.

        The last of these that says something counts: `addresses` and IP of CNI_ARGS
        together, args.cni.ips, runtimeConfig.ips. A GATEWAY of CNI_ARGS belongs to
        the first two: it becomes that of each of them in whose subnet it lies. Raises
        Code.INVALID_ENVIRONMENT and Code.INVALID_CONFIG.
        """
        if "ipam" not in self.model_fields_set:
            raise invalid_key("ipam", "IPAM config missing 'ipam' key")
        more = requested_ips.of_args(request, "IP", _of_args)
        gateways = requested_ips.of_args(request, "GATEWAY", _gateway)
        asked = self.runtime_config.ips or self.args.cni.ips
        if asked:
            given = [IP(address=item) for item in asked]
            if gateways:
                request.log.warning("GATEWAY is not for the addresses of a list")
        else:
            given = [*self._configured(), *(IP(address=item) for item in more)]
            for gateway in gateways:
                if not any(gateway in ip.address.network for ip in given):
                    request.log.warning(f"GATEWAY {gateway} lies in no subnet")
            given = [_with_gateway(ip, gateways) for ip in given]
        found = _each_once(given)
        self._refuse_more_than_the_version_has(found)
        return found

    def _configured(self) -> list[IP]:
        """Return `addresses`.

        Raises Code.INVALID_CONFIG for one that is a gateway alone.
        """
        found = []
        for number, item in enumerate(self.ipam.addresses):
            if item.address is None:
                key = f"ipam.addresses.{number}.address"
                msg = f"parse network configuration: {key}: Field required"
                details = "the runtime gave no address in its place"
                raise CNIError(Code.INVALID_CONFIG, msg, details)
            found.append(IP(address=item.address, gateway=item.gateway))
        return found

    def _refuse_more_than_the_version_has(self, ips: list[IP]) -> None:
        families = [ip.version for ip in ips]
        old = not at_least(self.cni_version or "0.1.0", "0.3.0")
        if old and len(set(families)) < len(families):
            version = f"CNI version {self.cni_version or '0.1.0'}"
            cause = f"{version} does not support more than 1 address per family"
            raise invalid_key("ipam", cause)


def _with_gateway(ip: IP, gateways: list[IPAddress]) -> IP:
    """Return `ip` with the last of the gateways that lies in its subnet, if any."""
    fitting = [gateway for gateway in gateways if gateway in ip.address.network]
    return ip.model_copy(update={"gateway": fitting[-1]}) if fitting else ip


def _each_once(ips: Iterable[IP]) -> list[IP]:
    """Return the addresses without repetitions.

    Raises Code.INVALID_CONFIG if those contradict.
    """
    found: dict[IPAddress, IP] = {}
    for ip in ips:
        first = found.setdefault(ip.address.ip, ip)
        if first.address != ip.address:
            raise invalid_key("ipam", f"{first.address} is also given as {ip.address}")
        if first.gateway is None:
            found[ip.address.ip] = ip
        elif ip.gateway not in {None, first.gateway}:
            msg = f"{first.address} is given with the gateways"
            raise invalid_key("ipam", f"{msg} {first.gateway} and {ip.gateway}")
    return list(found.values())
