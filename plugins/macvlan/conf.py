# SPDX-License-Identifier: Apache-2.0
"""The keys of the macvlan plugin."""

from __future__ import annotations

from pydantic import Field

from cni_common.link_conf import MasterConf
from cni_common.spec.errors import invalid_key
from cni_common.spec.fields import MacText  # noqa: TC001 - pydantic reads it
from cni_common.spec.typed import Annotated
from cni_common.spec.values import StrEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

QUEUE_MAX = 2**32 - 1


class Mode(StrEnum):
    """How macvlans of one master see each other (ip-link(8), "MACVLAN and MACVTAP")."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHRU = "passthru"


class MacvlanConf(MasterConf):
    """The macvlan plugin's configuration; see docs/plugins/macvlan.md."""

    mode: Annotated[str, Field(json_schema_extra={"enum": ["", *Mode]})] = ""
    mac: MacText = ""
    bcqueuelen: Annotated[
        int, Field(json_schema_extra={"minimum": 0, "maximum": QUEUE_MAX})
    ] = 0

    @property
    def kernel_mode(self) -> str:
        """The mode in the kernel's word, `bridge` when none is given."""
        return self.mode or Mode.BRIDGE

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense."""
        if self.kernel_mode not in set(Mode):
            raise invalid_key("mode", f'unknown macvlan mode: "{self.mode}"')
        if not 0 <= self.bcqueuelen <= QUEUE_MAX:
            cause = f"{self.bcqueuelen} is not between 0 and {QUEUE_MAX}"
            raise invalid_key("bcqueuelen", cause)
        super().validate_for(request)
