# SPDX-License-Identifier: Apache-2.0
"""What an administrator and a runtime may write for dnsname."""

from __future__ import annotations

from pydantic import Field

from cni_common.names import host_names
from cni_common.spec import cniargs
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Address
from cni_common.spec.model import GoModel
from cni_common.spec.netconf import NetConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


RemoteServers = list[Address]


class RuntimeConfig(GoModel):
    """The capability that dnsname reads: further names by network."""

    aliases: dict[str, list[str] | None] = Field(default_factory=dict)


class DnsnameConf(NetConf):
    """The configuration of dnsname; see docs/plugins/dnsname.md."""

    domain_name: str = ""
    remote_servers: RemoteServers = Field(default_factory=list)
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
        for alias in self._aliases(request):
            if not host_names.served([alias], self.domain):
                path = f"runtimeConfig.aliases.{request.network}"
                cause = f"{alias!r} cannot be the name of a host"
                raise CNIError(Code.INVALID_CONFIG, f"parse {path}: {cause}")

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
