# SPDX-License-Identifier: Apache-2.0
"""The keys of the tap plugin."""

from __future__ import annotations

from cni_common import leased, link_conf
from cni_common.spec.environment import validate_existing
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.netconf import NetConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

ID_MAX = 2**32 - 2  # the next one is nobody


class TapConf(NetConf):
    """The tap plugin's configuration; see docs/plugins/tap.md."""

    multi_queue: bool = False
    mtu: int = 0
    mac: str = ""
    owner: int | None = None
    group: int | None = None
    selinux_context: str = ""
    bridge: str = ""

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        link_conf.validate_mtu(self.mtu)
        for key, value in (("owner", self.owner), ("group", self.group)):
            if value is not None and not 0 <= value <= ID_MAX:
                raise invalid_key(key, f"{value} is not between 0 and {ID_MAX}")
        try:
            validate_existing(self.bridge)
        except CNIError as error:
            raise invalid_key("bridge", f"{error.msg}: {self.bridge!r}") from error
        leased.require_shape(request, self)
