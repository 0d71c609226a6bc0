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
