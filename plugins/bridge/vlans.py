# SPDX-License-Identifier: Apache-2.0
"""VLANs of a port, and the host's foot in a VLAN of the bridge."""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import bridges, links, netns
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.bridges import PortVlans
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from plugins.bridge.conf import BridgeConf


def wanted(conf: BridgeConf) -> bool:
    """Tell whether the configuration names any VLAN; an empty trunk names none."""
    return conf.vlan != 0 or bool(conf.vlan_trunk)


def set_port(netlink: Netlink, bridge: Link, name: str, conf: BridgeConf) -> None:
    """Have the port `name` carry the VLANs of the configuration.

    The default VLAN goes unless preserveDefaultVlan; a trunk without a VLAN of its
    own keeps VLAN 1 for untagged frames. Raises code 999.
    """
    if not wanted(conf):
        return
    if not bridge.vlan_filtering:
        msg = f"set VLANs of bridge port {name}"
        cause = f"bridge {bridge.name} has VLAN filtering off"
        raise CNIError(Code.INTERNAL, f"{msg}: {cause}")
    port = links.existing(netlink, name)
    if not conf.preserve_default_vlan:
        present = bridges.vlans(netlink, port)
        bridges.delete_vlans(netlink, port, present.untagged | present.tagged)
    carried = expected(conf)
    bridges.add_vlans(netlink, port, carried.tagged, pvid=carried.pvid)


def expected(conf: BridgeConf) -> PortVlans:
    """Return the VLANs that `set_port` gives, those it preserves apart."""
    pvid = conf.vlan
    if not pvid and conf.vlan_trunk and not conf.preserve_default_vlan:
        pvid = bridges.DEFAULT_VLAN
    untagged = frozenset({pvid} - {0})
    return bridges.PortVlans(pvid, untagged, frozenset(conf.trunk() - untagged))


def gateway_name(conf: BridgeConf) -> str:
    """Return the name of the link that is the gateway: the bridge's, or `br.VLAN`."""
    return f"{conf.bridge}.{conf.vlan}" if conf.vlan else conf.bridge


def ensure_gateway(netlink: Netlink, conf: BridgeConf, mac: str) -> bool:
    """Have a veth pair between the host and the VLAN of the bridge.

    Its host end is called `br.VLAN` and is for the gateway's addresses. If this call
    made it, which is told, it has `mac` and is down. Raises code 999.
    """
    name = gateway_name(conf)
    if links.get(netlink, name) is not None:
        return False
    port_name = naming.random_veth()
    with netns.own() as home:
        links.add_veth(
            netlink,
            port_name,
            name,
            home,
            host_mac=naming.random_mac(),
            peer_mac=mac,
            mtu=conf.mtu,
            master=bridges.existing(netlink, conf.bridge),
        )
    links.set_alias(netlink, name, naming.BRIDGE_ALIAS)
    port = links.existing(netlink, port_name)
    bridges.delete_vlans(netlink, port, {bridges.DEFAULT_VLAN})
    bridges.add_vlans(netlink, port, (), pvid=conf.vlan)
    return True
