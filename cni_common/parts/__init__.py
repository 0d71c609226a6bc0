# SPDX-License-Identifier: Apache-2.0
"""What attachments consist of: one thing a module, which has the thing's name.

A module defines one subclass of `attachment.part.Part`. A record names the module.
"""

# What the end of an attachment has nothing to do about: it goes with another part, or
# stays because it is the network's. Told here, so that DEL need not import them.
LASTING = frozenset(
    {
        "addresses",
        "allowing",
        "announced",
        "bridge",
        "forwarded",
        "gateway",
        "group_forwarding",
        "host_routed",
        "name_server",
        "not_the_hosts",
        "port_flags",
        "port_vlans",
        "publishing",
    }
)

# What an attachment of a plugin may consist of: a record that names something else is
# no record of that plugin.
OF = {
    "bandwidth": ("ingress_limit", "egress_limit"),
    "bridge": (
        "addresses",
        "announced",
        "bridge",
        "forwarded",
        "gateway",
        "group_forwarding",
        "masqueraded",
        "not_the_hosts",
        "port_flags",
        "port_vlans",
        "single_copies",
        "spoof_guard",
        "veth",
    ),
    "dnsname": ("name_server", "names"),
    "dummy": ("addresses", "dummy"),
    "firewall": ("allowed",),
    "host-device": ("addresses", "announced", "moved_device"),
    "ipvlan": ("addresses", "announced", "host_reach", "ipvlan"),
    "macvlan": ("addresses", "announced", "macvlan"),
    "portmap": ("published_ports",),
    "ptp": ("forwarded", "host_routed", "masqueraded", "not_the_hosts", "veth"),
    "sbr": ("source_routed",),
    "tap": ("addresses", "tap"),
    "tuning": ("link_settings", "sysctl"),
    "vlan": ("addresses", "announced", "vlan"),
    "vrf": ("vrf_member",),
}
