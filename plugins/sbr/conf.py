# SPDX-License-Identifier: Apache-2.0
"""What an administrator may write for sbr."""

from __future__ import annotations

from pydantic import Field

from cni_common.spec.errors import invalid_key
from cni_common.spec.fields import Address  # noqa: TC001 - pydantic reads it
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.fields import IPAddress


@dataclass(frozen=True)
class Wanted:
    """The `table` that others fill, 0 for one of our own; `gateways` by IP version."""

    table: int
    gateways: dict[int, IPAddress]
    hints: bool


class SbrConf(NetConf):
    """The configuration of sbr."""

    table: Annotated[int, Field(ge=1, lt=1 << 32)] | None = None
    gateways: list[Address] | None = None
    add_source_hints: bool = False

    def wanted(self) -> Wanted:
        """Return what is asked for; raises Code.INVALID_CONFIG for a contradiction."""
        found: dict[int, IPAddress] = {}
        for gateway in self.gateways or ():
            version = gateway.version
            if version in found:
                cause = f"{found[version]} and {gateway} are both of IPv{version}"
                raise invalid_key("gateways", cause)
            found[version] = gateway
        return Wanted(self.table or 0, found, self.add_source_hints)
