# SPDX-License-Identifier: Apache-2.0
"""The keys of the ptp plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common import masquerade, veth_pair
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Mtu, Subnet  # noqa: TC001 - pydantic reads them
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


class PtpConf(NetConf):
    """The ptp plugin's configuration; see docs/plugins/ptp.md."""

    ip_masq: bool = False
    ip_masq_backend: Annotated[
        str, Field(json_schema_extra={"enum": [*masquerade.BACKENDS]})
    ] = ""
    ip_masq_except: list[Subnet] | None = None
    mtu: Mtu = 0

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless ADD can work with the keys.

        Not part of the model: DEL must release what an earlier configuration made,
        whatever the present one says.
        """
        veth_pair.validate_mtu(self.mtu)
        masquerade.validate_backend(self.ip_masq_backend)
        if self.ip_masq and self.ip_masq_backend == "iptables":
            request.log.warning("ipMasqBackend iptables is served by nftables")
        if not self.ipam.type:
            msg = (
                "parse ipam.type: missing; without addresses there is nothing to route"
            )
            raise CNIError(Code.INVALID_CONFIG, msg)
