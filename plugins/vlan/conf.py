# SPDX-License-Identifier: Apache-2.0
"""The keys of the vlan plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common.link_conf import MasterConf
from cni_common.spec.errors import invalid_key
from cni_common.spec.typed import Annotated

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

VLAN_MAX = 4094


class VlanConf(MasterConf):
    """The vlan plugin's configuration; see docs/plugins/vlan.md."""

    vlan_id: Annotated[
        int, Field(json_schema_extra={"minimum": 0, "maximum": VLAN_MAX})
    ] = 0

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        if not 0 <= self.vlan_id <= VLAN_MAX:
            cause = f"{self.vlan_id} is not between 0 and {VLAN_MAX}"
            raise invalid_key("vlanId", cause)
        super().validate_for(request)
