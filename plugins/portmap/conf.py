# SPDX-License-Identifier: Apache-2.0
"""What an administrator and a runtime may write for portmap."""

from __future__ import annotations

from pydantic import BeforeValidator, Field

from cni_common.published import excluded
from cni_common.published.claims import Mapping, Port
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Address, IPAddress, address
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated, Literal
from plugins.portmap import conditions

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cni_common.spec.request import Request

PORT_MAX = 65535
_EVERY = {"0.0.0.0", "::"}  # noqa: S104 - as addresses of any


def _of_proxies() -> list[str]:
    return [*excluded.USUAL]


def _protocol(value: object) -> object:
    return (value.lower() or "tcp") if isinstance(value, str) else value


def _host_address(value: object) -> IPAddress | None:
    return None if value == "" else address(value)


Protocol = Literal["tcp", "udp", "sctp"]
_WORDS = ("tcp", "udp", "sctp")
PortNumber = Annotated[int, Field(ge=1, le=PORT_MAX)]


class PortMapping(GoModel):
    """A host port and where it leads; without a host IP it is on every address."""

    host_port: PortNumber
    container_port: PortNumber
    protocol: Annotated[
        Protocol,
        BeforeValidator(_protocol),
        Field(json_schema_extra={"enum": [*_WORDS, *(w.upper() for w in _WORDS), ""]}),
    ] = "tcp"
    host_ip: Annotated[Address | None, BeforeValidator(_host_address)] = Field(
        default=None, alias="hostIP"
    )

    def mapping(self) -> Mapping:
        """Return it as a value of its own."""
        at = "" if self.host_ip is None else str(self.host_ip)
        return Mapping(Port(self.protocol, self.host_port), self.container_port, at)


class RuntimeConfig(GoModel):
    """The capability that portmap reads."""

    port_mappings: list[PortMapping] = Field(default_factory=list)


class PortmapConf(NetConf):
    """The configuration of portmap."""

    backend: Literal["", "nftables", "iptables"] = ""
    snat: bool = True
    masq_all: bool = False
    counters: bool = False
    mark_masq_bit: Annotated[int, Field(ge=0, le=31)] | None = None
    external_set_mark_chain: str = ""
    conditions_v4: list[str] = Field(default_factory=list)
    conditions_v6: list[str] = Field(default_factory=list)
    exclude_interfaces: list[str] = Field(default_factory=_of_proxies)
    runtime_config: RuntimeConfig = Field(default_factory=RuntimeConfig)  # type: ignore[assignment]  # narrower than the base's plain object

    @property
    def mappings(self) -> list[Mapping]:
        """The port mappings that the runtime asks for, each once."""
        asked = self.runtime_config.port_mappings
        return list(dict.fromkeys(each.mapping() for each in asked))

    def doubts(
        self,
        declared: Collection[str],
        before: Sequence[NetConf],  # noqa: ARG002 - as the base's
    ) -> list[str]:
        """Return that no runtime sends ports, if none will."""
        if "portMappings" in declared or self.mappings:
            return []
        return ['no runtime sends ports without "capabilities": {"portMappings": true}']

    def conditions(self) -> dict[int, str]:
        """Return the conditions of both families as nft text, "" for none.

        Raises Code.UNSUPPORTED_FIELD for what nftables cannot say, and
        Code.INVALID_CONFIG for what is no match.
        """
        return {
            4: conditions.match("conditionsV4", 4, self.conditions_v4),
            6: conditions.match("conditionsV6", 6, self.conditions_v6),
        }

    def validate_for(self, request: Request) -> None:
        """Raise Code.UNSUPPORTED_FIELD or Code.INVALID_CONFIG for what ADD refuses of
        mappings and conditions, though nothing may be published.
        """
        del request
        self.check()
        self.conditions()

    def without_effect(self) -> list[str]:
        """Return what only iptables has, as far as it is written."""
        marks = (self.mark_masq_bit is not None, bool(self.external_set_mark_chain))
        keys = zip(("markMasqBit", "externalSetMarkChain"), marks, strict=True)
        found = [f"{key} has no effect: nothing is marked" for key, on in keys if on]
        if self.backend == "iptables":
            found.append("backend iptables is served by nftables")
        return found

    def check(self) -> None:
        """Raise Code.INVALID_CONFIG for what contradicts."""
        if self.external_set_mark_chain and self.mark_masq_bit is not None:
            msg = "cannot specify externalSetMarkChain and markMasqBit"
            raise CNIError(Code.INVALID_CONFIG, msg)
        _refuse_contradictions(self.mappings)


def _refuse_contradictions(mappings: list[Mapping]) -> None:
    seen: dict[tuple[Port, int, str], int] = {}
    for mapping in mappings:
        at = "" if mapping.host_ip in _EVERY else mapping.host_ip
        for family in mapping.families:
            key = (mapping.port, family, at)
            target = seen.setdefault(key, mapping.container_port)
            if target != mapping.container_port:
                msg = (
                    f"publish {mapping.port}{at and f' of {at}'}: asked for twice, "
                    f"for container ports {target} and {mapping.container_port}"
                )
                raise CNIError(Code.INVALID_CONFIG, msg)
