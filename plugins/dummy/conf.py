# SPDX-License-Identifier: Apache-2.0
"""The keys of the dummy plugin."""

from __future__ import annotations

from cni_common import leased, link_conf, requested_mac
from cni_common.spec.fields import MacText, Mtu  # noqa: TC001 - pydantic reads them
from cni_common.spec.netconf import NetConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


class DummyConf(NetConf):
    """The dummy plugin's configuration; see docs/plugins/dummy.md."""

    mtu: Mtu = 0
    mac: MacText = ""

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        link_conf.validate_mtu(self.mtu)
        leased.require_shape(request, self)

    @property
    def wanted_mac(self) -> str:
        """The MAC that was asked for, or an empty text.

        runtimeConfig.mac comes before `mac`. Raises Code.INVALID_CONFIG.
        """
        return requested_mac.first([requested_mac.of_runtime(self), ("mac", self.mac)])
