# SPDX-License-Identifier: Apache-2.0
"""The keys of the macvlan plugin."""

from __future__ import annotations

from cni_common import leased, requested_mac
from cni_common.spec import cniargs
from cni_common.spec.environment import validate_existing
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.netconf import NetConf
from cni_common.spec.values import StrEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.request import Request

MTU_MAX = 65535
QUEUE_MAX = 2**32 - 1


class Mode(StrEnum):
    """How macvlans of one master see each other (ip-link(8), "MACVLAN and MACVTAP")."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHRU = "passthru"


class MacvlanConf(NetConf):
    """The macvlan plugin's configuration; see docs/plugins/macvlan.md."""

    master: str = ""
    mode: str = ""
    mtu: int = 0
    mac: str = ""
    link_in_container: bool = False
    bcqueuelen: int = 0

    @property
    def kernel_mode(self) -> str:
        """The mode in the kernel's word, `bridge` when none is given."""
        return self.mode or Mode.BRIDGE

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense.

        Not part of the model: DEL must release what an earlier configuration made,
        whatever the present one says.
        """
        if self.kernel_mode not in set(Mode):
            raise invalid_key("mode", f'unknown macvlan mode: "{self.mode}"')
        if not 0 <= self.mtu <= MTU_MAX:
            raise invalid_key("mtu", f"{self.mtu} is not between 0 and {MTU_MAX}")
        if not 0 <= self.bcqueuelen <= QUEUE_MAX:
            cause = f"{self.bcqueuelen} is not between 0 and {QUEUE_MAX}"
            raise invalid_key("bcqueuelen", cause)
        try:
            validate_existing(self.master)
        except CNIError as error:
            raise invalid_key("master", f"{error.msg}: {self.master!r}") from error
        leased.require_shape(request, self)

    def validate_on(self, master: Link) -> None:
        """Raise Code.INVALID_CONFIG unless a macvlan on `master` can have the MTU."""
        if self.mtu > master.mtu:
            cause = f"{self.mtu} is more than the {master.mtu} of {master.name}"
            raise invalid_key("mtu", cause)


def wanted_mac(request: Request, conf: MacvlanConf) -> str:
    """Return the MAC that was asked for, or an empty text.

    runtimeConfig.mac comes before MAC in CNI_ARGS, which comes before `mac`. Raises
    Code.INVALID_CONFIG, or Code.INVALID_ENVIRONMENT for CNI_ARGS.
    """
    pairs = cniargs.parse(request.args)
    return requested_mac.first(
        [
            requested_mac.of_runtime(conf),
            ("CNI_ARGS MAC", pairs.get("MAC")),
            ("mac", conf.mac),
        ]
    )
