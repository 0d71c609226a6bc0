# SPDX-License-Identifier: Apache-2.0
"""The keys of the tap plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common import leased, link_conf
from cni_common.spec.environment import validate_existing
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.fields import MacText, Mtu  # noqa: TC001 - pydantic reads them
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

ID_MAX = 2**32 - 2  # the next one is nobody
Id = Annotated[int | None, Field(json_schema_extra={"minimum": 0, "maximum": ID_MAX})]


class TapConf(NetConf):
    """The tap plugin's configuration; see docs/plugins/tap.md."""

    multi_queue: bool = False
    mtu: Mtu = 0
    mac: MacText = ""
    owner: Id = None
    group: Id = None
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
