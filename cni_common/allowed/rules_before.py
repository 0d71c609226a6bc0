# SPDX-License-Identifier: Apache-2.0
"""The inet table as release 0.1.0 declared it, for networks of one node alone.

An upgrade leaves it in the kernel, and it does what it did: the next ADD makes it anew.
"""

from __future__ import annotations

from cni_common.allowed.rules import ADMIN, TABLE
from cni_common.kernel.own_table import OwnTable

ROUTED = OwnTable(f"""\
table {TABLE} {{
	set containers4 {{
		type ipv4_addr
	}}
	set containers6 {{
		type ipv6_addr
	}}
	set guarded {{
		type ifname
	}}
	set within {{
		type ifname . ifname
	}}
	set isolated {{
		type ifname . ifname
	}}
	set elsewhere {{
		type ifname
	}}
	chain {ADMIN} {{
	}}
	chain isolation {{
		ct status dnat return comment "published ports"
		iifname . oifname @isolated drop
		iifname . oifname @within return
		oifname @guarded drop
		iifname @guarded oifname @elsewhere drop
	}}
	chain containers {{
		jump {ADMIN}
		iifname @guarded goto isolation
		iifname @elsewhere goto isolation
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ip saddr @containers4 goto containers
		ip daddr @containers4 goto containers
		ip6 saddr @containers6 goto containers
		ip6 daddr @containers6 goto containers
		iifname @guarded goto isolation
		iifname @elsewhere goto isolation
	}}
}}
""")
