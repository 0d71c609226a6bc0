# SPDX-License-Identifier: Apache-2.0
"""What bridge knows the container's MAC for follows the one that tuning gives.

bridge binds the port to the MAC that it gave (macspoofchk); with another one the
container would be mute. On a promiscuous bridge it would get packets twice. To be
called in the host's namespace.
"""

from __future__ import annotations

from cni_common import duplicates, spoofcheck
from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment


def follow(owner: Attachment, end: Link, mac: str) -> None:
    """Have the host's end of the veth `end` bound to `mac`, if it is guarded at all,
    and the container known by it.

    Only a port that is guarded for `owner` counts: the index of the other end alone
    could be that of a link in any namespace. Raises code 999, and changes nothing.
    """
    if end.kind != "veth":
        return
    with Netlink() as host:
        port = links.by_index(host, end.peer)
    if port is not None and port.kind == "veth" and port.peer == end.index:
        spoofcheck.rebind(port.name, mac, owner)
    duplicates.rebind(mac, owner)
