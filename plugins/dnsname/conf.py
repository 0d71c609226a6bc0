# SPDX-License-Identifier: Apache-2.0
"""What an administrator and a runtime may write for dnsname."""

from __future__ import annotations

from pydantic import Field

from cni_common.names import host_names
from cni_common.spec import cniargs
from cni_common.spec.characters import is_port
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Address, Subnet, address
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


RemoteServers = list[Address]
# An address, and perhaps a port behind it, as dnsmasq is told: 127.0.0.1#53.
_SERVER = "^([0-9A-Fa-f:.]+(#[0-9]{1,5})?)?$"
_PORT_MAX = 65535


class RuntimeConfig(GoModel):
    """The capability that dnsname reads: further names by network."""

    aliases: dict[str, list[str] | None] = Field(default_factory=dict)


class DnsnameConf(NetConf):
    """The configuration of dnsname; see docs/plugins/dnsname.md."""

    domain_name: str = ""
    remote_servers: RemoteServers = Field(default_factory=list)
    domain_server: Annotated[str, Field(json_schema_extra={"pattern": _SERVER})] = ""
    asked_pools: Annotated[list[Subnet] | None, Field(alias="pools")] = None
    runtime_config: RuntimeConfig = Field(default_factory=RuntimeConfig)  # type: ignore[assignment]  # narrower than the base's plain object

    @property
    def domain(self) -> str:
        """The domain without the dot at its end; empty for none."""
        return self.domain_name.removesuffix(".")

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG for a domain or an alias that is no name of a host.

        Not part of the model: DEL takes names away whatever they are called by now.
        """
        if self.domain_name and not host_names.is_host_name(self.domain):
            cause = f"{self.domain_name!r} is not the name of a domain"
            raise CNIError(Code.INVALID_CONFIG, f"parse domainName: {cause}")
        self._check_server()
        for alias in self._aliases(request):
            if not host_names.served([alias], self.domain):
                path = f"runtimeConfig.aliases.{request.network}"
                cause = f"{alias!r} cannot be the name of a host"
                raise CNIError(Code.INVALID_CONFIG, f"parse {path}: {cause}")

    def _check_server(self) -> None:
        """Raise Code.INVALID_CONFIG for a server of the domain that is none."""
        if not self.domain_server:
            return
        if not self.domain:
            cause = "domainName is missing, which it is asked for"
            raise CNIError(Code.INVALID_CONFIG, f"use domainServer: {cause}")
        text, hash_sign, port = self.domain_server.partition("#")
        try:
            address(text)
        except ValueError as error:
            raise CNIError(
                Code.INVALID_CONFIG, f"parse domainServer: {error}"
            ) from error
        if hash_sign and not (is_port(port) and int(port) <= _PORT_MAX):
            cause = f"{port!r} is not a port"
            raise CNIError(Code.INVALID_CONFIG, f"parse domainServer: {cause}")

    def names(self, request: Request) -> list[str]:
        """Return what the container is found by: its own name, then its aliases.

        Own names follow the runtime's rules, not those of hosts: one that cannot be
        served is left out, with a warning. Raises Code.INVALID_ENVIRONMENT for
        CNI_ARGS.
        """
        own = cniargs.parse(request.args).get("K8S_POD_NAME", "")
        if not own:
            request.log.warning("CNI_ARGS has no K8S_POD_NAME: no name but aliases")
        elif not host_names.served([own], self.domain):
            request.log.warning(f"{own!r} cannot be the name of a host: not served")
        every = [own] if own else []
        return host_names.served(every + self._aliases(request), self.domain)

    def _aliases(self, request: Request) -> list[str]:
        return self.runtime_config.aliases.get(request.network) or []
