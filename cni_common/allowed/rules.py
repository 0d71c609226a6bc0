# SPDX-License-Identifier: Apache-2.0
"""The tables of nftables, of a constant number of rules that look elements up; and
what of them, of iptables and of firewalld an attachment needs, as entries.

docs/plugins/firewall.md shows them with elements; docs/decisions/0013 has the reasons.
The chain `admin` is the administrator's: it is declared, never flushed.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.own_table import Content, ElementKey, OwnTable

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.kernel.own_table import Elements
    from cni_common.parts.allowed import Allowed

TABLE = "inet cnipy_firewall"
PORTS_TABLE = "bridge cnipy_firewall"
ADMIN = "admin"
# Where entries are needed, besides filter tables of iptables such as "nft4".
INET, PORTS, ZONES = "nftables", "ports", "firewalld"

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
BRIDGED = OwnTable(f"""\
table {PORTS_TABLE} {{
	set isolated {{
		type ifname
	}}
	chain forward {{
		type filter hook forward priority -200; policy accept;
		iifname @isolated oifname @isolated drop
	}}
}}
""")


def routed(part: Allowed, *, filtered: bool) -> tuple[str, ...]:
    """Return the entries of the inet table that are needed.

    Links that iptables keeps apart from one another, where `filtered` has the rules
    there, are to be known here too: it knows nothing of those that are guarded here.
    """
    if filtered:
        return tuple(f"elsewhere {link}" for link in part.guarded)
    addresses = (f"address {address}" for address in part.addresses)
    return (*addresses, *apart(part))


def apart(part: Allowed) -> tuple[str, ...]:
    """Return the entries that say of links what is kept apart, whatever does it."""
    guarded = (f"guarded {link}" for link in part.guarded)
    within = part.guarded if part.isolated else ()
    return (*guarded, *(f"isolated {link}" for link in within))


def admin(part: Allowed) -> str:
    """Return the entry of the administrator's chain in a filter table."""
    return f"admin {part.admin_chain}"


def entries(place: str, part: Allowed) -> tuple[str, ...]:
    """Return all entries of `place` that may be needed."""
    if place == INET:
        return routed(part, filtered=False) + routed(part, filtered=True)
    if place == PORTS:
        return tuple(f"port {port}" for port in part.ports)
    if place == ZONES:
        # A zone's name may have one slash, which no name of a file has.
        zone = part.zone.replace("/", ":")
        return tuple(f"{zone} {address}" for address in part.addresses)
    return (*apart(part), admin(part))


def elements(entries: Iterable[str], owner: str = "") -> Elements:
    """Return the elements that `entries` consist of, of the owner in a comment."""
    return {key: to for entry in entries for key, to in _elements(entry, owner).items()}


def _elements(entry: str, owner: str) -> Elements:
    kind, _, value = entry.partition(" ")
    if kind == "address":
        name = f"containers{6 if ':' in value else 4}"
        return {ElementKey(name, value): Content(comment=owner)}
    link = nft.quote(value)
    if kind == "port":
        return {ElementKey("isolated", link): Content(comment=owner)}
    keys = {
        "elsewhere": {"elsewhere": link},
        "isolated": {"isolated": f"{link} . {link}"},
        "guarded": {"guarded": link, "within": f"{link} . {link}"},
    }[kind]
    return {ElementKey(*key): Content() for key in keys.items()}
