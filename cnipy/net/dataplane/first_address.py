# SPDX-License-Identifier: Apache-2.0
"""The node's own address, which is the first of its block, on kernels before 5.14.

There the first address of a subnet of IPv4 is one for broadcasts, as soon as the bridge
has its gateway in the block. Of two entries for an address the first one counts, and an
address that is not the host's is no source of a route.
"""

from __future__ import annotations

from cni_common.kernel import protocol_routes as routes
from cni_common.kernel import route_get
from cnipy.net.dataplane.difference import ADD, Step
from cnipy.net.dataplane.present import PROTOCOL

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPInterface


def steps(addresses: Iterable[IPInterface], link: Link) -> list[Step]:
    """Return what makes those the host's that are taken for broadcasts.

    It goes with the link. Raises Code.INTERNAL.
    """
    return [
        Step(
            routes.own(each.ip, link.index, PROTOCOL),
            ADD,
            f"route local {each.ip} dev {link.name}",
        )
        for each in sorted(addresses, key=str)
        if each.version == 4 and route_get.is_broadcast(each.ip)  # noqa: PLR2004 - IPv6 has none
    ]
