# SPDX-License-Identifier: Apache-2.0
"""Names across nodes: each node tells the store its own, and is asked for the others'.

A network's dnsmasq knows the containers of its node. For any other name of the domain,
and for addresses of the pools, it asks the `Answerer` of the agent, which asks the
store. An `Announcer` has there what the node's dnsmasq serves.
"""

from __future__ import annotations

# Of the loopback, so that no other machine asks; not 53, which a resolver of the host
# may have on all addresses.
ADDRESS, PORT = "127.0.0.1", 4793
