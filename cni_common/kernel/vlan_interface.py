# SPDX-License-Identifier: Apache-2.0
"""The host's interface in a VLAN of a bridge: a veth pair, one end of it a port."""

from __future__ import annotations

from cni_common.kernel import bridge_vlans, links, netns

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink


def ensure(  # noqa: PLR0913 - what both ends have from the start
    netlink: Netlink,
    name: str,
    bridge: Link,
    *,
    vid: int,
    macs: tuple[str, str],
    port: str,
    alias: str,
    mtu: int = 0,
) -> bool:
    """Ensure a veth pair between the host and the VLAN `vid` of `bridge`.

    Its host end is called `name`, the other end `port`, a port that carries the VLAN
    untagged. If this call made it, which is told, they have `macs`, port first, and
    the host end is down. `mtu` is in bytes. Raises Code.INTERNAL.
    """
    if links.get(netlink, name) is not None:
        return False
    with netns.own() as home:
        links.add_veth(
            netlink,
            port,
            name,
            home,
            host_mac=macs[0],
            peer_mac=macs[1],
            mtu=mtu,
            master=bridge,
        )
    links.set_alias(netlink, name, alias)
    made = links.existing(netlink, port)
    bridge_vlans.delete_vlans(netlink, made, {bridge_vlans.DEFAULT_VLAN})
    bridge_vlans.add_vlans(netlink, made, (), pvid=vid)
    return True
