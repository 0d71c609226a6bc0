# SPDX-License-Identifier: Apache-2.0
"""Parts that only some configurations of the bridge plugin ask for."""

from __future__ import annotations

from cni_common.parts.group_forwarding import GroupForwarding
from cni_common.parts.port_vlans import PortVlans
from cni_common.parts.single_copies import SingleCopies
from cni_common.parts.spoof_guard import SpoofGuard

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.part import Part
    from plugins.bridge.conf import BridgeConf
    from plugins.bridge.plugin import Facts


def parts(conf: BridgeConf, known: Facts, inside: str) -> Iterator[Part]:
    """Yield what the keys ask for beside a port, in order."""
    if conf.group_fwd_mask is not None:
        yield GroupForwarding(bridge=known.bridge, mask=conf.group_fwd_mask)
    if conf.has_vlans:
        yield PortVlans(
            port=known.host,
            bridge=known.bridge,
            pvid=conf.pvid,
            tagged=tuple(sorted(conf.tagged)),
            keeps_default=conf.preserve_default_vlan,
        )
    if conf.macspoofchk:
        yield SpoofGuard(port=known.host, inside=inside, mac=known.mac)
    if known.twice:
        yield SingleCopies(inside=inside)
