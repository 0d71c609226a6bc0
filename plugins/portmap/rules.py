# SPDX-License-Identifier: Apache-2.0
"""The table of portmap: a constant number of rules that look elements up.

docs/plugins/portmap.md shows the table as it is in a kernel, and says what each
rule is for. docs/decisions/0010 has the reasons.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from plugins.portmap.elements import TABLE, addition, map_name

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from plugins.portmap.elements import Elements

FAMILIES = {4: "ip", 6: "ip6"}
# Before the unconditional lookup at dstnat (-100), so that conditions come first.
_CONDITIONED_PRIORITY = -101
# nft 1.0.6 knows the type of `ct original proto-dst` only behind such a match.
_ORIGINAL = "meta l4proto { tcp, udp, sctp } meta l4proto . ct original proto-dst"
# The bit of a mark by which an answer passes the filter at a link (`guard`).
ANSWER = 0x10000000
# `iif != 0` in other words: for the index of an interface, be it 0, libnftables lists
# all links of the host. No link is in this group, and a packet without a link in none.
_HAS_INPUT = "iifgroup != 0xffffffff"


class Scope(NamedTuple):
    """The conditions of one network in one family."""

    id: str
    family: int
    text: str
    network: str


def removal() -> str:
    """Return the commands after which the table is absent, whether it was there."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def rebuilt(scopes: Iterable[Scope], elements: Elements) -> str:
    """Return the commands that make the table anew with everything in it."""
    return removal() + declaration(scopes) + addition(elements)


def declaration(scopes: Iterable[Scope]) -> str:
    """Return the commands that declare the table with all its rules."""
    parts = [f"add table {TABLE}\n", *_lookups(), *_sets()]
    parts += [_base_chains(), *_guard(), *_answers(), *_published(), *_masquerading()]
    parts += [scope_declaration(scope) for scope in scopes]
    return "".join(parts)


def scope_declaration(scope: Scope) -> str:
    """Return the commands that declare maps and chains for a network's conditions."""
    found = f"conditioned{scope.family}_{scope.id}"
    parts = _maps(scope.family, scope.id)
    parts.append(f"add chain {TABLE} {found}\n")
    parts += [_rule(found, text) for text in _dnat(scope.family, scope.id)]
    protocol = f"meta nfproto ipv{scope.family}"
    comment = f"conditions of {scope.network}"[:120]
    for hook in ("prerouting", "output"):
        chain = f"{found}_{hook}"
        parts.append(_base(chain, "nat", hook, _CONDITIONED_PRIORITY))
        for local in _local(hook, [scope.family]):
            match = f"{protocol} {local} {scope.text}"
            parts.append(_rule(chain, f"{match} jump {found}", comment))
    return "".join(parts)


def scope_removal(scope: Scope) -> str:
    """Return the commands after which the maps and chains of `scope` are absent."""
    found = f"conditioned{scope.family}_{scope.id}"
    chains = (f"{found}_prerouting", f"{found}_output", found)
    parts = [f"flush chain {TABLE} {chain}\n" for chain in chains]
    parts += [f"delete chain {TABLE} {chain}\n" for chain in chains]
    parts += [f"delete map {TABLE} {name}\n" for name in _names(scope.family, scope.id)]
    return "".join(parts)


def excluded(family: int, ranges: Iterable[str]) -> str:
    """Return the commands that have `ranges`, and no others, not be the host's."""
    name = f"excluded{family}"
    listed = ", ".join(ranges)
    flush = f"flush set {TABLE} {name}\n"
    return flush + (f"add element {TABLE} {name} {{ {listed} }}\n" if listed else "")


def check_conditions(scope: Scope, key: str) -> None:
    """Raise code 7 naming `key` unless the kernel takes the conditions of `scope`.

    They are tried in a table that exists only within the transaction.
    """
    trial = f"{TABLE}_{scope.id}"
    declared = _excluded_sets() + scope_declaration(scope)
    declared = declared.replace(f" {TABLE} ", f" {trial} ")
    try:
        nft.run(f"add table {trial}\n{declared}delete table {trial}\n")
    except nft.RefusedError as error:
        msg = f"use {key} {scope.text!r}: {error.msg.rpartition(': ')[2]}"
        raise CNIError(Code.INVALID_CONFIG, msg, error.details) from error


def _names(family: int, scope_id: str) -> list[str]:
    return [map_name(family, scope_id, one_address=one) for one in (True, False)]


def _maps(family: int, scope_id: str = "") -> list[str]:
    address = f"ipv{family}_addr"
    key, value = "inet_proto . inet_service", f"{address} . inet_service"
    one, every = _names(family, scope_id)
    return [
        f"add map {TABLE} {one} {{ type {address} . {key} : {value} ; }}\n",
        f"add map {TABLE} {every} {{ type {key} : {value} ; }}\n",
    ]


def _lookups() -> list[str]:
    return [text for family in FAMILIES for text in _maps(family)]


def _sets() -> list[str]:
    parts = []
    for family in FAMILIES:
        key = f"inet_proto . inet_service . ipv{family}_addr"
        parts.append(f"add set {TABLE} masq_all{family} {{ type {key} ; }}\n")
        parts.append(f"add set {TABLE} hairpin{family} {{ type {key} . ifname ; }}\n")
    key = "inet_proto . inet_service . ipv4_addr"
    parts.append(f"add set {TABLE} localhost4 {{ type {key} ; }}\n")
    return [*parts, _excluded_sets()]


def _excluded_sets() -> str:
    return "".join(
        f"add set {TABLE} excluded{f} {{ type ipv{f}_addr ; flags interval ; }}\n"
        for f in FAMILIES
    )


def _local(hook: str, families: Iterable[int] = FAMILIES) -> list[str]:
    """Return the matches by which a packet is for an address of the host.

    An address of the link by which it came always is, be it as new as can be.
    """
    own = [
        f"fib daddr type local {FAMILIES[f]} daddr != @excluded{f}" for f in families
    ]
    return ["fib daddr . iif type local", *own] if hook == "prerouting" else own


def _base_chains() -> str:
    # Raw, that is before conntrack, so that only what really came over a wire is
    # seen by the guard: answers to 127.0.0.1 get that address back later.
    plain = "".join(
        f"add chain {TABLE} {name}\n" for name in ("published", "masquerading")
    )
    return plain + "".join(
        [
            _base("guard", "filter", "prerouting", -300),
            _base("answers", "filter", "prerouting", -150),
            _base("answered", "filter", "input", -150),
            _base("prerouting", "nat", "prerouting", -100),
            _base("output", "nat", "output", -100),
            _base("postrouting", "nat", "postrouting", 100),
        ]
    )


def _guard() -> list[str]:
    return [
        _rule(
            "guard",
            f"iifname != lo ip {end} 127.0.0.0/8 drop",
            "route_localnet guard",
        )
        for end in ("daddr", "saddr")
    ]


def _answers() -> list[str]:
    """Mark what may pass the filter at the link although it is for 127.0.0.1.

    That is only seen on a bridge whose packets pass br_netfilter: translated back
    before they are the bridge's. The mark goes when the packet has arrived.
    """
    mark, rest = f"{ANSWER:#x}", f"{ANSWER ^ 0xFFFFFFFF:#x}"
    answer = "ct direction reply ct status dnat ct original ip saddr 127.0.0.0/8"
    return [
        _rule("answers", f"{answer} meta mark set meta mark or {mark}"),
        _rule(
            "answered", f"meta mark and {mark} != 0 meta mark set meta mark and {rest}"
        ),
    ]


def _dnat(family: int, scope_id: str = "") -> list[str]:
    protocol = FAMILIES[family]
    one, every = _names(family, scope_id)
    return [
        f"dnat {protocol} to {protocol} daddr . meta l4proto . th dport map @{one}",
        f"dnat {protocol} to meta l4proto . th dport map @{every}",
    ]


def _published() -> list[str]:
    parts = [_rule("published", text) for f in FAMILIES for text in _dnat(f)]
    for hook in ("prerouting", "output"):
        parts += [_rule(hook, f"{local} jump published") for local in _local(hook)]
    return parts


def _masquerading() -> list[str]:
    parts = [_rule("postrouting", "ct status dnat jump masquerading")]
    texts = [f"ip saddr 127.0.0.0/8 {_ORIGINAL} . ip daddr @localhost4 masquerade"]
    for family, protocol in FAMILIES.items():
        key = f"{_ORIGINAL} . {protocol} daddr"
        texts.append(f"{key} @masq_all{family} masquerade")
        texts.append(f"{key} . iifname @hairpin{family} masquerade")
    # A bridged packet under br_netfilter has no input interface in postrouting.
    texts.append(f"{_HAS_INPUT} return")
    for family, protocol in FAMILIES.items():
        key = f"fib saddr type != local {_ORIGINAL} . {protocol} daddr"
        texts.append(f"{key} . oifname @hairpin{family} masquerade")
    return parts + [_rule("masquerading", text) for text in texts]


def _base(name: str, kind: str, hook: str, priority: int) -> str:
    declared = f"type {kind} hook {hook} priority {priority} ; policy accept ;"
    return f"add chain {TABLE} {name} {{ {declared} }}\n"


def _rule(chain: str, text: str, comment: str = "") -> str:
    said = f" comment {nft.quote(comment)}" if comment else ""
    return f"add rule {TABLE} {chain} {text}{said}\n"
