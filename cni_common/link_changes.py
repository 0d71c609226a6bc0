# SPDX-License-Identifier: Apache-2.0
"""Settings of a link by the keys of tuning, and what has to follow them."""

from __future__ import annotations

from cni_common.kernel import link_settings, links

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.shapes import Setting


def settings(link: Link) -> dict[str, Setting]:
    """Return the settings of a link."""
    return {
        "mac": link.mac,
        "mtu": link.mtu,
        "txQLen": link.tx_queue_length,
        "promisc": link.is_promiscuous,
        "allmulti": link.is_all_multicast,
    }


def change(netlink: Netlink, name: str, key: str, value: Setting) -> None:
    """Set one setting of the link. Raises Code.INTERNAL."""
    match key:
        case "mac":
            links.set_mac(netlink, name, str(value))
        case "mtu":
            link_settings.set_mtu(netlink, name, int(value))
        case "txQLen":
            link_settings.set_tx_queue_length(netlink, name, int(value))
        case "promisc":
            links.set_promiscuous(netlink, name, on=bool(value))
        case "allmulti":
            link_settings.set_all_multicast(netlink, name, on=bool(value))


def follow(node: Node, end: Link, mac: str) -> None:
    """Bind the host's end of the veth `end` to `mac`, if it is guarded at all,
    and the container known by it.

    bridge binds the port to the MAC that it gave (macspoofchk); with another one the
    container would be mute. On a promiscuous bridge it would get packets twice. Only a
    port that is guarded for the attachment counts: the index of the other end alone
    could be that of a link in any namespace. Raises Code.INTERNAL, and changes nothing.
    """
    if end.kind != "veth":
        return
    from cni_common import duplicates, spoofcheck  # noqa: PLC0415 - for another MAC

    port = links.by_index(node.host, end.peer)
    if port is not None and port.kind == "veth" and port.peer == end.index:
        spoofcheck.rebind(port.name, mac, node.attachment)
    duplicates.rebind(mac, node.attachment)
