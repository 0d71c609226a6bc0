# SPDX-License-Identifier: Apache-2.0
"""Carry out the steps together, and say of each what became of it."""

from __future__ import annotations

import errno

from cni_common.kernel import protocol_routes as routes
from cnipy.net.dataplane.difference import ADD, DELETE
from cnipy.net.dataplane.present import PROTOCOL

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.kernel.netlink import Netlink, NetlinkError
    from cni_common.spec.fields import IPNetwork
    from cnipy.net.dataplane.desired import Desired
    from cnipy.net.dataplane.difference import Step

# Deleted with what it needed: routes go with their nexthop, all with the device.
_GONE = {errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL}


def carry_out(netlink: Netlink, steps: Sequence[Step]) -> tuple[list[str], list[str]]:
    """Carry out `steps` in order; return in sentences what was done, and what was
    refused, and why.

    What the kernel refuses keeps nothing else from being done.
    """
    done, refused = [], []
    lacking: set[int] = set()
    outcomes = netlink.outcomes([step.request for step in steps])
    for step, error in zip(steps, outcomes, strict=True):
        if error is None:
            done.append(f"{step.verb} {step.what}")
        elif step.needs in lacking or (step.verb == DELETE and error.errno in _GONE):
            continue
        else:
            lacking |= {step.made} if step.made else set()
            refused.append(f"{step.verb} {step.what}: {_cause(step, error)}")
    return done, refused


def outrun(netlink: Netlink, dsts: Sequence[IPNetwork], aim: Desired) -> list[str]:
    """Return in sentences which of the blocks `dsts` others have routes to, that go
    before ours.
    """
    found = []
    for block, (dst, protocol) in zip(dsts, routes.leading(netlink, dsts), strict=True):
        if protocol not in {0, PROTOCOL}:
            node = aim.nodes.get(block, "")
            found.append(
                f"outrun: {block} of node {node}: a route to {dst} that is not ours "
                f"(protocol {protocol}) goes first"
            )
    return found


def _cause(step: Step, error: NetlinkError) -> str:
    if step.verb == ADD and step.dst and error.errno == errno.EEXIST:
        return "somebody else has a route to it, with our metric"
    return str(error.strerror)
