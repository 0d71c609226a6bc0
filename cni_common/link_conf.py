# SPDX-License-Identifier: Apache-2.0
"""Keys of the plugins that make a link for the container, and what they may say."""

from __future__ import annotations

from cni_common import leased
from cni_common.spec.environment import validate_existing
from cni_common.spec.errors import CNIError, invalid_key
from cni_common.spec.fields import Mtu  # noqa: TC001 - pydantic reads it
from cni_common.spec.netconf import NetConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.request import Request

MTU_MAX = 65535


class MasterConf(NetConf):
    """The keys that the plugins whose links stand on a master share."""

    master: str = ""
    mtu: Mtu = 0
    link_in_container: bool = False

    def validate_for(self, request: Request) -> None:
        """Raise Code.INVALID_CONFIG unless the keys make sense.

        Not part of the model: DEL must release what an earlier configuration made,
        whatever the present one says.
        """
        validate_mtu(self.mtu)
        try:
            validate_existing(self.master)
        except CNIError as error:
            raise invalid_key("master", f"{error.msg}: {self.master!r}") from error
        leased.require_shape(request, self)

    def validate_on(self, master: Link) -> None:
        """Raise Code.INVALID_CONFIG unless a link on `master` can have the MTU."""
        if self.mtu > master.mtu:
            cause = f"{self.mtu} is more than the {master.mtu} of {master.name}"
            raise invalid_key("mtu", cause)


def validate_mtu(mtu: int) -> None:
    """Raise Code.INVALID_CONFIG unless a link can have the MTU; 0 asks for none."""
    if not 0 <= mtu <= MTU_MAX:
        raise invalid_key("mtu", f"{mtu} is not between 0 and {MTU_MAX}")
