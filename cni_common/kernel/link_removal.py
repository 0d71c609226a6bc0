# SPDX-License-Identifier: Apache-2.0
"""Delete a link and return when it is gone, not only when the kernel has freed it.

In unregister_netdevice_many() the kernel takes a link off all lists and notifies,
then releases rtnl_lock, and only then waits until no processor can still be looking at
the link (netdev_run_todo() in net/core/dev.c). RTM_DELLINK is acknowledged after that
wait, the notification comes before it: after 1 ms rather than 15. So the request is
made in a thread, which outlives the call in a warm child; a process that ends waits
for its thread, as it would have waited itself.
"""

from __future__ import annotations

import errno
import select
import struct

from cni_common.kernel.link_waits import GROUP_LINK
from cni_common.kernel.links import RTM_DELLINK
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.errand import Errand
    from cni_common.kernel.link_answer import Link

_AF_UNSPEC = 0  # a bridge tells the same of its port with AF_BRIDGE, and earlier
_NOTIFICATION = struct.Struct("=4xH10xB3xi")  # nlmsg_type, ifi_family, ifi_index
_SECONDS = 30

_freeing: list[Errand] = []


def delete(link: Link) -> None:
    """Make `link`, of the calling thread's namespace, absent; a veth's peer goes too.

    Afterwards neither name nor index finds it. Raises Code.INTERNAL.
    """
    _freeing[:] = [errand for errand in _freeing if errand.is_under_way()]
    try:
        with (
            Netlink(groups=GROUP_LINK) as events,
            Netlink() as netlink,
            netlink.hand_over(LinkRequest(index=link.index), RTM_DELLINK, 0) as errand,
        ):
            _freeing.append(errand)
            sources: list[Netlink | Errand] = [netlink, events, errand]
            while True:
                ready = select.select(sources, [], [], _SECONDS)[0]
                errand.check()
                if events not in ready or netlink in ready:
                    netlink.acknowledged()  # it is there, or waited for once more
                    return
                if _tells_the_end(events.receive(), link):
                    return
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise refused(f"delete link {link.name}", error) from error


def settle() -> None:
    """Return when the kernel is done with all that this process has deleted."""
    while _freeing:
        _freeing.pop().join()


def _tells_the_end(datagram: bytes, link: Link) -> bool:
    if len(datagram) < _NOTIFICATION.size:
        return False
    told = _NOTIFICATION.unpack_from(datagram)
    return told == (RTM_DELLINK, _AF_UNSPEC, link.index)
