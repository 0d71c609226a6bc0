# SPDX-License-Identifier: Apache-2.0
"""The keys of the ipvlan plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common.link_conf import MasterConf
from cni_common.spec.errors import invalid_key
from cni_common.spec.typed import Annotated
from cni_common.spec.values import StrEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


class Mode(StrEnum):
    """Who looks for the next hop (Documentation/networking/ipvlan.rst)."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class IpvlanConf(MasterConf):
    """The ipvlan plugin's configuration; see docs/plugins/ipvlan.md."""

    mode: Annotated[str, Field(json_schema_extra={"enum": ["", *Mode]})] = ""
    host_reach: bool = False

    @property
    def kernel_mode(self) -> str:
        """The mode in the kernel's word, `l2` when none is given."""
        return self.mode or Mode.L2

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        if self.kernel_mode not in set(Mode):
            raise invalid_key("mode", f'unknown ipvlan mode: "{self.mode}"')
        if self.host_reach and self.link_in_container:
            raise invalid_key("hostReach", "the host is not on a link of the container")
        super().validate_for(request)
