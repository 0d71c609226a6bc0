# SPDX-License-Identifier: Apache-2.0
"""What an administrator may write for vrf."""

from __future__ import annotations

from pydantic import Field

from cni_common import shapes
from cni_common.spec.errors import invalid_key
from cni_common.spec.netconf import NetConf
from cni_common.spec.typed import Annotated


class VrfConf(NetConf):
    """The configuration of vrf; table 0 is one that nobody uses."""

    vrfname: str = ""
    table: Annotated[int, Field(ge=0, lt=1 << 32)] = 0

    def require_name(self) -> None:
        """Raise Code.INVALID_CONFIG unless a link can be called so."""
        try:
            if not shapes.link(self.vrfname):
                raise ValueError("configuration is expected to have a valid vrf name")
        except ValueError as error:
            raise invalid_key("vrfname", str(error)) from error
