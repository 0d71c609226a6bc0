# SPDX-License-Identifier: Apache-2.0
"""What the kernel has not of the ways to other nodes; nothing is changed."""

from __future__ import annotations

from cni_common.kernel.netlink import Netlink
from cnipy.net.dataplane import device, present, wireguard_peers, words
from cnipy.net.dataplane import difference as differing
from cnipy.net.dataplane import ground as grounds
from cnipy.net.dataplane.carrying import outrun
from cnipy.net.dataplane.desired import desired

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnipy.net.records import NetworkConfig, NodeRecord


def lacks(
    config: NetworkConfig, own: NodeRecord, others: Iterable[NodeRecord]
) -> list[str]:
    """Return in sentences what the ways to `others` lack, or lead by instead.

    Where there is no device there are none. What is just being done may be among it.
    Raises Code.INTERNAL.
    """
    name = grounds.device_name(config)
    with Netlink() as netlink:
        link = device.find(netlink, config)
        if link is None:
            return [f"there is no device {name}"]
        there = present.read(netlink, config, name)
        ground = grounds.read(netlink, config, own)
        ground = grounds.with_host(ground, netlink, config)
        aim = desired(config, own, others, ground, there.standing())
        found = [] if link.is_up else [f"the device {name} is down"]
        unknown = wireguard_peers.missing(aim.peers, there.device.peers)
        found += [f"no {words.peer(each)}" for each in unknown]
        for step in differing.steps(aim, there, link):
            if step.verb != differing.DELETE:
                kind = "no" if step.verb == differing.ADD else "another"
                found.append(f"{kind} {step.what}")
        found += outrun(netlink, list(aim.nodes), aim)
        return found + [f"skipped: {each}" for each in aim.skipped]
