# SPDX-License-Identifier: Apache-2.0
"""The host's end of the container's veth, where its traffic can be limited."""

from __future__ import annotations

from cni_common.kernel import links
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


def find(side: Sides, request: Request, previous: Result) -> Link:
    """Return the other end of CNI_IFNAME; raises code 999 unless prevResult lists it.

    The index of the other end alone could be that of a link in any namespace.
    """
    what = f"limit interface {request.ifname}"
    end = links.get(side.container, request.ifname)
    if end is None:
        msg = f"{what}: the container has no such interface"
        raise CNIError(Code.INTERNAL, msg, f"in {request.netns}")
    if end.kind != "veth":
        msg = f"{what}: it is {end.kind or 'a device'}, not veth"
        raise CNIError(Code.INTERNAL, msg)
    other = links.by_index(side.host, end.peer)
    if other is None or other.kind != "veth" or other.peer != end.index:
        msg = f"{what}: the other end of its veth is not on the host"
        raise CNIError(Code.INTERNAL, msg)
    for interface in previous.interfaces:
        if interface.name == other.name and not interface.sandbox:
            return other
    msg = f"{what}: prevResult does not list {other.name}, the host's end of its veth"
    raise CNIError(Code.INTERNAL, msg)
