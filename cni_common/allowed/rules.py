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
    from cni_common.spec.fields import IPAddress, IPNetwork

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
	set overlays {{
		type ifname
	}}
	set overlaid {{
		type ifname
	}}
	set alone {{
		type ifname
	}}
	set pools4 {{
		type ipv4_addr
		flags interval
	}}
	set pools6 {{
		type ipv6_addr
		flags interval
	}}
	set members4 {{
		type ifname . ipv4_addr
		flags interval
	}}
	set members6 {{
		type ifname . ipv6_addr
		flags interval
	}}
	chain {ADMIN} {{
	}}
	chain isolation {{
		ct status dnat return comment "published ports"
		iifname @guarded ct direction reply return
		iifname . oifname @isolated drop
		iifname @overlays iifname . ip saddr != @members4 drop
		iifname @overlays iifname . ip6 saddr != @members6 drop
		iifname . oifname @within return
		iifname @guarded goto leaving
		iifname @elsewhere goto leaving
		goto arriving
	}}
	chain leaving {{
		iifname @alone ip daddr @pools4 drop
		iifname @alone ip6 daddr @pools6 drop
		iifname . ip daddr @members4 return
		iifname . ip6 daddr @members6 return
		ip daddr @pools4 drop
		ip6 daddr @pools6 drop
		oifname @guarded drop
		iifname @guarded oifname @elsewhere drop
	}}
	chain arriving {{
		oifname @alone drop
		oifname @overlaid drop
		oifname . ip saddr @members4 return
		oifname . ip6 saddr @members6 return
		oifname @guarded drop
		oifname @elsewhere drop
	}}
	chain containers {{
		jump {ADMIN}
		iifname @guarded goto isolation
		iifname @elsewhere goto isolation
		ip saddr @pools4 goto isolation
		ip6 saddr @pools6 goto isolation
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ip saddr @containers4 goto containers
		ip daddr @containers4 goto containers
		ip6 saddr @containers6 goto containers
		ip6 daddr @containers6 goto containers
		iifname @guarded goto isolation
		iifname @elsewhere goto isolation
		ip saddr @pools4 goto isolation
		ip6 saddr @pools6 goto isolation
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
        return (*(f"elsewhere {link}" for link in part.guarded), *remote(part))
    addresses = (f"address {address}" for address in part.addresses)
    return (*addresses, *apart(part), *remote(part))


def apart(part: Allowed) -> tuple[str, ...]:
    """Return the entries that say of links what is kept apart, whatever does it."""
    guarded = (f"guarded {link}" for link in part.guarded)
    within = part.guarded if part.isolated else ()
    return (*guarded, *(f"isolated {link}" for link in within))


def remote(part: Allowed) -> tuple[str, ...]:
    """Return the entries that say who on other nodes is of the same network.

    They are in the inet table whatever carries the rules: iptables knows no sets.
    """
    if not (part.guarded and part.pools):
        return ()
    overlay = part.overlay
    towards = part.guarded
    found = [f"pool {_slug(pool)}" for pool in part.pools]
    if overlay:
        found.append(f"overlay {overlay}")
        found += [f"joined {link} {overlay}" for link in towards]
        found += [f"parted {link} {overlay}" for link in towards if part.isolated]
    found += [f"alone {link}" for link in towards if part.isolated]
    links = (*towards, overlay) if overlay else towards
    found += [f"member {x} {_slug(pool)}" for x in links for pool in part.pools]
    return tuple(found)


def _slug(member: object) -> str:
    """Return it as the name of a file, for the slash of a network's length."""
    return str(member).replace("/", "_")


def in_zone(part: Allowed) -> tuple[IPAddress | IPNetwork | str, ...]:
    """Return the sources of firewalld's zone, and the link by which others come."""
    if part.overlay:
        return (*part.addresses, part.overlay)
    return (*part.addresses, *part.pools)


def admin(part: Allowed) -> str:
    """Return the entry of the administrator's chain in a filter table."""
    return f"admin {part.admin_chain}"


def entries(place: str, part: Allowed) -> tuple[str, ...]:
    """Return all entries of `place` that may be needed."""
    if place == INET:
        both = routed(part, filtered=False) + routed(part, filtered=True)
        return tuple(dict.fromkeys(both))
    if place == PORTS:
        return tuple(f"port {port}" for port in part.ports)
    if place == ZONES:
        # A zone's name may have one slash, which no name of a file has.
        zone = part.zone.replace("/", ":")
        return tuple(f"{zone} {_slug(member)}" for member in in_zone(part))
    return (*apart(part), admin(part))


def elements(entries: Iterable[str], owner: str = "") -> Elements:
    """Return the elements that `entries` consist of, of the owner in a comment."""
    return {key: to for entry in entries for key, to in _elements(entry, owner).items()}


def _elements(entry: str, owner: str) -> Elements:
    kind, *values = entry.split(" ")
    if kind == "address":
        name = f"containers{_family(values[0])}"
        return {ElementKey(name, values[0]): Content(comment=owner)}
    if kind == "port":
        return {ElementKey("isolated", nft.quote(values[0])): Content(comment=owner)}
    if kind in {"pool", "member"}:
        *links, slug = values
        pool = slug.replace("_", "/")
        joined = " . ".join([*map(nft.quote, links), pool])
        return {ElementKey(f"{kind}s{_family(pool)}", joined): Content()}
    link, other = nft.quote(values[0]), nft.quote(values[-1])
    keys: dict[str, list[tuple[str, str]]] = {
        "elsewhere": [("elsewhere", link)],
        "isolated": [("isolated", f"{link} . {link}")],
        "guarded": [("guarded", link), ("within", f"{link} . {link}")],
        "overlay": [("guarded", link), ("overlays", link)],
        "joined": [
            *(("within", f"{link} . {other}"), ("within", f"{other} . {link}")),
            ("overlaid", link),
        ],
        "parted": [
            *(("isolated", f"{link} . {other}"), ("isolated", f"{other} . {link}")),
        ],
        "alone": [("alone", link)],
    }
    return {ElementKey(*key): Content() for key in keys[kind]}


def _family(text: str) -> int:
    return 6 if ":" in text else 4
