# SPDX-License-Identifier: Apache-2.0
"""Whether somebody took something of a network from the kernel, without looking.

The kernel tells of what goes. So a link that was down for a moment, and with it each
nexthop through it, need not wait until everything is compared again; and as long as
nothing went, what is there need not be read again for each node that is new.
"""

from __future__ import annotations

from cni_common.kernel.netlink import Netlink
from cni_common.kernel.route_notices import RouteNotices
from cni_common.spec.errors import CNIError
from cnipy.net.dataplane import ground as grounds
from cnipy.net.dataplane.present import PROTOCOL

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Self

    from cnipy.net.dataplane.present import Present
    from cnipy.net.records import NetworkConfig, NodeRecord


class Watch:
    """Hears what befalls one network of the calling thread's namespace.

    `there` is what `apply` left of it, None once that may be disturbed, or was never
    known; whoever does not believe it sets it to None. Use it by `with`, or close it.
    Raises Code.INTERNAL.
    """

    def __init__(self) -> None:
        self.there: Present | None = None
        self._notices = RouteNotices(PROTOCOL)
        self._names: set[str] = set()
        self._indices: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear nothing more."""
        self._notices.close()

    def is_disturbed(self, config: NetworkConfig, own: NodeRecord) -> bool:
        """Tell, without waiting, whether `apply` may find something to do.

        That is since the last call; the first one says yes. Raises Code.INTERNAL.
        """
        disturbed = self._is_disturbed(config, own)
        if disturbed:
            self.there = None
        return disturbed

    def _is_disturbed(self, config: NetworkConfig, own: NodeRecord) -> bool:
        before = self._names, self._indices
        disturbed = self._notices.is_disturbed(*before)
        try:
            with Netlink() as netlink:
                ground = grounds.read(netlink, config, own)
        except CNIError:
            return True  # apply says why
        uplinks = ground.uplinks.values()
        self._names = {ground.name, *(uplink.name for uplink in uplinks)}
        self._indices = {ground.device, *(uplink.link for uplink in uplinks)}
        return disturbed or before != (self._names, self._indices)
