# SPDX-License-Identifier: Apache-2.0
"""The keys that the specification gives to every plugin (sections 1 and 3)."""

from __future__ import annotations

from pydantic import BeforeValidator, Field

from cni_common.spec.model import GoModel
from cni_common.spec.result import Dns
from cni_common.spec.typed import Annotated, Any

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cni_common.spec.fields import IPAddress, IPNetwork
    from cni_common.spec.request import Request

    # A subnet, its first and last address that is given, the gateway if it is known.
    Pool = tuple[IPNetwork, IPAddress, IPAddress, IPAddress | None]


class Ipam(GoModel):
    """The part of `ipam` that the delegating plugin reads."""

    type: str = ""


def _as_object(value: object) -> object:
    if not isinstance(value, dict):
        msg = "should be an object"
        raise ValueError(msg)
    return value


# Types whose interface has no end on the host.
WITHOUT_HOST_END = frozenset(
    {"macvlan", "ipvlan", "vlan", "dummy", "host-device", "tap"}
)

Document = Annotated[dict[str, Any], BeforeValidator(_as_object)]


class NetConf(GoModel):
    """One plugin's configuration, as the runtime makes it out of the list."""

    cni_version: str = "0.1.0"
    name: str = ""
    type: str = ""
    ipam: Ipam = Field(default_factory=Ipam)
    dns: Dns = Field(default_factory=Dns)
    args: Document = Field(default_factory=dict)
    runtime_config: Document = Field(default_factory=dict)
    prev_result: Document | None = None
    # Of any type: what only says how much is told stops no container (skel.py).
    log_file: object = None
    log_level: object = None

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless ADD can work with the keys.

        It looks at the configuration alone. Not part of the model: DEL must release
        what an earlier configuration made, whatever the present one says.
        """

    def doubts(
        self,
        declared: Collection[str],  # noqa: ARG002 - for models that have any
        before: Sequence[NetConf],  # noqa: ARG002 - the same
    ) -> list[str]:
        """Return what has no effect in this configuration, for the operator's eyes.

        `declared` are the capabilities that its entry in the list asks for, `before`
        the configurations of the plugins before it.
        """
        return []

    def pools(self) -> list[Pool]:
        """Return where addresses of an IPAM plugin are from, as far as is known."""
        return []
