# SPDX-License-Identifier: Apache-2.0
"""The table of portmap: a constant number of rules that look elements up.

docs/plugins/portmap.md shows the table as it is in a kernel, and says what each
rule is for. docs/decisions/0010 has the reasons.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.own_table import OwnTable
from cni_common.published import elements
from cni_common.published.elements import COUNTED, TABLE, map_name
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.published.claims import Claim, Target

# Before the unconditional lookup at dstnat (-100), so that conditions come first.
_CONDITIONED_PRIORITY = -101
# The bit of a mark by which an answer passes the filter at a link (`guard`).
ANSWER = 0x10000000
_KEY = "inet_proto . inet_service"
# nft 1.0.6 knows the type of `ct original proto-dst` only behind such a match.
_ORIGINAL = "meta l4proto { tcp, udp, sctp } meta l4proto . ct original proto-dst"
# `iif != 0` in other words: for the index of an interface, be it 0, libnftables lists
# all links of the host. No link is in this group, and a packet without a link in none.
_HAS_INPUT = "iifgroup != 0xffffffff"
_EXCLUDED = """\
	set excluded4 {
		type ipv4_addr
		flags interval
	}
	set excluded6 {
		type ipv6_addr
		flags interval
	}
"""
# `guard` is raw, that is before conntrack, and sees only what really came over a wire:
# answers to 127.0.0.1 get that address back later. `answers` marks those that may pass
# the filter at the link, and `answered` takes the mark away again; that is only seen on
# a bridge with br_netfilter, which translates back before packets are the bridge's.
# What `return` lets by has no input interface, being bridged. In `prerouting`, an
# address of the link by which a packet came is the host's, be it as new as can be.
_PARTS = f"""\
	map hostip_ports4 {{
		type ipv4_addr . {_KEY} : ipv4_addr . inet_service
	}}
	map hostports4 {{
		type {_KEY} : ipv4_addr . inet_service
	}}
	map hostip_ports6 {{
		type ipv6_addr . {_KEY} : ipv6_addr . inet_service
	}}
	map hostports6 {{
		type {_KEY} : ipv6_addr . inet_service
	}}
	set masq_all4 {{
		type {_KEY} . ipv4_addr
	}}
	set hairpin4 {{
		type {_KEY} . ipv4_addr . ifname
	}}
	set masq_all6 {{
		type {_KEY} . ipv6_addr
	}}
	set hairpin6 {{
		type {_KEY} . ipv6_addr . ifname
	}}
	set localhost4 {{
		type {_KEY} . ipv4_addr
	}}
{_EXCLUDED}\
	chain published {{
		dnat ip to ip daddr . meta l4proto . th dport map @hostip_ports4
		dnat ip to meta l4proto . th dport map @hostports4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @hostip_ports6
		dnat ip6 to meta l4proto . th dport map @hostports6
	}}
	chain masquerading {{
		ip saddr 127.0.0.0/8 {_ORIGINAL} . ip daddr @localhost4 masquerade
		{_ORIGINAL} . ip daddr @masq_all4 masquerade
		{_ORIGINAL} . ip daddr . iifname @hairpin4 masquerade
		{_ORIGINAL} . ip6 daddr @masq_all6 masquerade
		{_ORIGINAL} . ip6 daddr . iifname @hairpin6 masquerade
		{_HAS_INPUT} return
		fib saddr type != local {_ORIGINAL} . ip daddr . oifname @hairpin4 masquerade
		fib saddr type != local {_ORIGINAL} . ip6 daddr . oifname @hairpin6 masquerade
	}}
	chain guard {{
		type filter hook prerouting priority -300; policy accept;
		iifname != lo ip daddr 127.0.0.0/8 drop comment "route_localnet guard"
		iifname != lo ip saddr 127.0.0.0/8 drop comment "route_localnet guard"
	}}
	chain answers {{
		type filter hook prerouting priority -150; policy accept;
		ct direction reply ct status dnat ct original ip saddr 127.0.0.0/8 \
meta mark set meta mark or {ANSWER:#x}
	}}
	chain answered {{
		type filter hook input priority -150; policy accept;
		meta mark and {ANSWER:#x} != 0 \
meta mark set meta mark and {ANSWER ^ 0xFFFFFFFF:#x}
	}}
	chain prerouting {{
		type nat hook prerouting priority -100; policy accept;
		fib daddr . iif type local jump published
		fib daddr type local ip daddr != @excluded4 jump published
		fib daddr type local ip6 daddr != @excluded6 jump published
	}}
	chain output {{
		type nat hook output priority -100; policy accept;
		fib daddr type local ip daddr != @excluded4 jump published
		fib daddr type local ip6 daddr != @excluded6 jump published
	}}
	chain postrouting {{
		type nat hook postrouting priority 100; policy accept;
		ct status dnat jump masquerading
	}}
"""


# Before sources are translated, and behind conntrack. Of a connection, NAT sees only
# the first packet; these see each, in both directions.
_COUNTING = "".join(
    f"""\
	set {way}{family} {{
		type {_KEY} . ipv{family}_addr
		counter
	}}
"""
    for way in COUNTED
    for family in (4, 6)
) + "".join(
    f"""\
	chain {way} {{
		type filter hook {hook}; policy accept;
		ct direction {side} ct status dnat {_ORIGINAL} . ip {end} @{way}4
		ct direction {side} ct status dnat {_ORIGINAL} . ip6 {end} @{way}6
	}}
"""
    for way, hook, side, end in (
        (COUNTED[0], "postrouting priority 0", "original", "daddr"),
        (COUNTED[1], "prerouting priority -150", "reply", "saddr"),
    )
)


class Scope(NamedTuple):
    """What the table has for some claims only: the conditions of one network in one
    family, or what counts.
    """

    id: str
    family: int
    text: str
    network: str


COUNTERS = Scope("counters", 0, "", "")


def scope_of(network: str, target: Target) -> Scope:
    """Return the conditions of `target`, which has some, in its network."""
    text, family = target.conditions, target.family
    return Scope(elements.scope(network, family, text), family, text, network)


def scopes(published: Iterable[Claim]) -> set[Scope]:
    """Return the conditions under which those claims are published, and what counts."""
    found: set[Scope] = set()
    for claim in published:
        there = [t for t in claim.targets if t.family in claim.published]
        found |= {scope_of(claim.network, t) for t in there if t.conditions}
        if there and claim.counters:
            found.add(COUNTERS)
    return found


def table(scopes: Iterable[Scope] = ()) -> OwnTable:
    """Return the table with the conditions of `scopes`."""
    return _declared(TABLE, _PARTS + "".join(map(_conditioned, scopes)))


def conditioned(scope: Scope) -> OwnTable:
    """Return the part of the table that is there for a scope."""
    return _declared(TABLE, _conditioned(scope))


def excluded(family: int, ranges: Iterable[str]) -> str:
    """Return the commands that have `ranges`, and no others, not be the host's."""
    name = f"excluded{family}"
    listed = ", ".join(ranges)
    flush = f"flush set {TABLE} {name}\n"
    return flush + (f"add element {TABLE} {name} {{ {listed} }}\n" if listed else "")


def check_conditions(scope: Scope, key: str) -> None:
    """Raise Code.INVALID_CONFIG naming `key` unless the kernel takes those conditions.

    They are tried in a table that exists only within the transaction.
    """
    trial = _declared(f"{TABLE}_{scope.id}", _EXCLUDED + _conditioned(scope))
    try:
        nft.run(f"{trial.declaration}delete table {trial.name}\n")
    except nft.RefusedError as error:
        msg = f"use {key} {scope.text!r}: {error.msg.rpartition(': ')[2]}"
        raise CNIError(Code.INVALID_CONFIG, msg, error.details) from error


def _declared(name: str, parts: str) -> OwnTable:
    return OwnTable(f"table {name} {{\n{parts}}}\n")


def _conditioned(scope: Scope) -> str:
    """Return the maps and chains for a network's conditions, or for counting."""
    if scope == COUNTERS:
        return _COUNTING
    n, found = scope.family, f"conditioned{scope.family}_{scope.id}"
    ip = "ip" if n == 4 else "ip6"  # noqa: PLR2004 - the family's number
    one, every = (map_name(n, scope.id, one_address=is_one) for is_one in (True, False))
    said = nft.quote(f"conditions of {scope.network}"[:120])
    jump = f"{scope.text} jump {found} comment {said}"
    own = f"fib daddr type local {ip} daddr != @excluded{n}"
    return f"""\
	map {one} {{
		type ipv{n}_addr . {_KEY} : ipv{n}_addr . inet_service
	}}
	map {every} {{
		type {_KEY} : ipv{n}_addr . inet_service
	}}
	chain {found} {{
		dnat {ip} to {ip} daddr . meta l4proto . th dport map @{one}
		dnat {ip} to meta l4proto . th dport map @{every}
	}}
	chain {found}_prerouting {{
		type nat hook prerouting priority {_CONDITIONED_PRIORITY}; policy accept;
		meta nfproto ipv{n} fib daddr . iif type local {jump}
		meta nfproto ipv{n} {own} {jump}
	}}
	chain {found}_output {{
		type nat hook output priority {_CONDITIONED_PRIORITY}; policy accept;
		meta nfproto ipv{n} {own} {jump}
	}}
"""
