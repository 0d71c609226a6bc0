# SPDX-License-Identifier: Apache-2.0
"""The tables of firewall: a constant number of rules that look elements up.

docs/plugins/firewall.md shows them as they are in a kernel; docs/decisions/0013 has
the reasons. The chain `admin` is the administrator's: it is declared, never flushed.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import nft
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.naming import Attachment
    from plugins.firewall.protection import Protection

TABLE = "inet cnipy_firewall"
PORTS_TABLE = "bridge cnipy_firewall"
ADMIN = "admin"
OWN_CHAINS = ("forward", "containers", "isolation")

_RULES = f"""\
add rule {TABLE} forward ip saddr @containers4 goto containers
add rule {TABLE} forward ip daddr @containers4 goto containers
add rule {TABLE} forward ip6 saddr @containers6 goto containers
add rule {TABLE} forward ip6 daddr @containers6 goto containers
add rule {TABLE} forward iifname @guarded goto isolation
add rule {TABLE} forward iifname @elsewhere goto isolation
add rule {TABLE} containers jump {ADMIN}
add rule {TABLE} containers iifname @guarded goto isolation
add rule {TABLE} containers iifname @elsewhere goto isolation
add rule {TABLE} isolation ct status dnat return comment "published ports"
add rule {TABLE} isolation iifname . oifname @isolated drop
add rule {TABLE} isolation iifname . oifname @within return
add rule {TABLE} isolation oifname @guarded drop
add rule {TABLE} isolation iifname @guarded oifname @elsewhere drop
"""
_PORT_RULE = f"add rule {PORTS_TABLE} forward iifname @isolated oifname @isolated drop"


class Element(NamedTuple):
    """An element: table and set where it lies, key and comment in nft's words."""

    table: str
    set: str
    key: str
    comment: str = ""


def of_protection(protection: Protection) -> tuple[str, ...]:
    """Return the entries of the inet table that a protection needs.

    Links that iptables keeps apart from one another are to be known here too, for
    there it knows nothing of those that are guarded here.
    """
    if protection.filters:
        return tuple(f"elsewhere {link}" for link in protection.guarded)
    return (
        *(f"address {address}" for address in protection.addresses),
        *(f"guarded {link}" for link in protection.guarded),
        *(f"isolated {link}" for link in protection.isolated),
    )


def of_ports(protection: Protection) -> tuple[str, ...]:
    """Return the entries of the bridge table that a protection needs."""
    return tuple(f"port {port}" for port in protection.isolated_ports)


def elements(entries: Iterable[str], attachment: Attachment) -> list[Element]:
    """Return the elements that `entries` consist of."""
    return [e for entry in entries for e in _elements(entry, attachment)]


def _elements(entry: str, attachment: Attachment) -> list[Element]:
    kind, _, value = entry.partition(" ")
    owner = naming.comment(attachment)
    if kind == "address":
        family = 6 if ":" in value else 4
        return [Element(TABLE, f"containers{family}", value, owner)]
    name = nft.quote(value)
    if kind == "port":
        return [Element(PORTS_TABLE, "isolated", name, owner)]
    if kind == "elsewhere":
        return [Element(TABLE, "elsewhere", name)]
    pair = f"{name} . {name}"
    if kind == "isolated":
        return [Element(TABLE, "isolated", pair)]
    return [Element(TABLE, "guarded", name), Element(TABLE, "within", pair)]


def addition(wanted: Iterable[Element]) -> str:
    """Return the commands that add elements; those that exist already stay."""
    return _statements("add", wanted)


def removal(doomed: Iterable[Element]) -> str:
    """Return the commands after which elements are absent, whether they were there."""
    bare = [element._replace(comment="") for element in doomed]
    return _statements("add", bare) + _statements("delete", bare)


def renewal(present: Iterable[Element]) -> str:
    """Return the commands that replace elements; refused where one is absent."""
    every = list(present)
    bare = [element._replace(comment="") for element in every]
    return _statements("delete", bare) + _statements("add", every)


def _statements(verb: str, wanted: Iterable[Element]) -> str:
    by_set: dict[tuple[str, str], list[str]] = {}
    for e in wanted:
        comment = f" comment {nft.quote(e.comment)}" if e.comment else ""
        by_set.setdefault((e.table, e.set), []).append(f"{e.key}{comment}")
    return "".join(
        f"{verb} element {table} {name} {{ {', '.join(keys)} }}\n"
        for (table, name), keys in by_set.items()
    )


def declaration() -> str:
    """Return the commands after which the inet table has its rules and no elements."""
    base = "type filter hook forward priority 0; policy accept;"
    lines = [f"add table {TABLE}", f"add chain {TABLE} {ADMIN}"]
    lines += [f"add chain {TABLE} {chain}" for chain in ("isolation", "containers")]
    lines.append(f"add chain {TABLE} forward {{ {base} }}")
    lines += [f"flush chain {TABLE} {chain}" for chain in OWN_CHAINS]
    for name, kind in (
        ("containers4", "ipv4_addr"),
        ("containers6", "ipv6_addr"),
        ("guarded", "ifname"),
        ("within", "ifname . ifname"),
        ("isolated", "ifname . ifname"),
        ("elsewhere", "ifname"),
    ):
        lines.append(f"add set {TABLE} {name} {{ type {kind}; }}")
        lines.append(f"flush set {TABLE} {name}")
    return "\n".join([*lines, _RULES])


def ports_declaration() -> str:
    """Return the commands after which the bridge table has its rule and no element."""
    base = "type filter hook forward priority -200; policy accept;"
    return f"""\
add table {PORTS_TABLE}
add chain {PORTS_TABLE} forward {{ {base} }}
flush chain {PORTS_TABLE} forward
add set {PORTS_TABLE} isolated {{ type ifname; }}
flush set {PORTS_TABLE} isolated
{_PORT_RULE}
"""


def expected_rules() -> dict[tuple[str, str], int]:
    """Return how many rules each of our chains has, by table and chain."""
    found = dict.fromkeys([(PORTS_TABLE, "forward")], 1)
    for line in _RULES.splitlines():
        chain = line.split()[4]
        found[TABLE, chain] = found.get((TABLE, chain), 0) + 1
    return found
