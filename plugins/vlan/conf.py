# SPDX-License-Identifier: Apache-2.0
"""The keys of the vlan plugin."""

from __future__ import annotations

import os

from pydantic import Field

from cni_common.link_conf import MasterConf
from cni_common.spec.environment import IFNAME_MAX
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

    def name_on(self, master: str, ifname: str) -> str:
        """Return what the VLAN is called in the container: `ifname`, unless it is that.

        An earlier plugin of the list has made its master as CNI_IFNAME then.
        """
        is_beside = self.link_in_container and master == ifname
        return f"{master}.{self.vlan_id}" if is_beside else ifname

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        if not 0 <= self.vlan_id <= VLAN_MAX:
            cause = f"{self.vlan_id} is not between 0 and {VLAN_MAX}"
            raise invalid_key("vlanId", cause)
        name = self.name_on(self.master, request.ifname)
        if len(os.fsencode(name)) > IFNAME_MAX:
            raise invalid_key("master", f"{name} is too long for a link's name")
        super().validate_for(request)
