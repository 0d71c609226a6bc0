# SPDX-License-Identifier: Apache-2.0
"""Our tables of nftables as the kernel has them: rules, elements, and their purposes.

Whose an element is its comment says, or that it is about the attachment's own link.
What holds for a subnet or a bridge is everybody's there.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from cni_common import naming, own_tables
from cni_common.kernel import nft
from cni_common.spec.values import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.tree import Attached

_OURS = "cnipy_"
# Name of a map or set, family and conditions apart, to what an element of it is for.
_PURPOSES = {
    "hostports": "{0} port {1} of the host leads to {value}",
    "hostip_ports": "{1} port {2} of {0} leads to {value}",
    "hairpin": "neighbours on {3} reach {0} port {1} of the host, and the host is seen",
    "masq_all": "who comes by {0} port {1} of the host is seen as the host",
    "received": "what reaches {2} by {0} port {1} of the host is counted",
    "sent": "what {2} answers by {0} port {1} of the host is counted",
    "localhost": "{0} port {1} is reached from the host's 127.0.0.1",
    "containers": "what is forwarded from and to {0} is accepted",
    "guarded": "{0} is kept apart from other guarded links",
    "within": "what is forwarded from {0} to {1} is not kept apart",
    "isolated": "containers of {0} are kept apart from one another",
    "elsewhere": "who comes by {0} does not reach guarded links",
    "overlays": "by {0} come containers of other nodes, of its network alone",
    "overlaid": "nobody of a pool comes to {0} but by its overlay",
    "alone": "{0} exchanges nothing with containers of other nodes",
    "pools": "{0} is of a guarded network, wherever its containers are",
    "members": "for {0}, {1} is of the same network",
    "bound": "frames that come in by {0} are from {1}",
}
# The same in tables where the name means something else.
_PURPOSES_THERE = {
    ("bridge cnipy_firewall", "isolated"): "{0} exchanges no frames with such ports",
    ("bridge cnipy_spoofcheck", "guarded"): "frames that come in by {0} have its MAC",
    ("bridge cnipy_duplicates", "containers"): "one copy of a frame for {0} is enough",
    ("bridge cnipy_duplicates", "selves"): "{0} may send to itself",
}
_SUBNET = re.compile(r"subnet (\S+)")
_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp"}


class Entry(NamedTuple):
    """A rule or an element: where it stands, as nft writes it, and what it is for.

    `about` are the words of its key, `owner` is its comment.
    """

    table: str
    kind: str
    name: str
    text: str
    purpose: str
    owner: str = ""
    about: tuple[str, ...] = ()

    def document(self, *, shared: bool) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "table": self.table,
            self.kind: self.name,
            "text": self.text,
            "purpose": self.purpose,
            "shared": shared,
        }


@dataclass(frozen=True)
class Rules:
    """All entries of our tables, by owner, and by the words of what has none."""

    by_owner: dict[str, list[Entry]]
    others: tuple[Entry, ...]

    def own(self, one: Attached) -> list[Entry]:
        """Return what is the attachment's alone."""
        found = [*self.by_owner.get(naming.comment(one.attachment), [])]
        if one.port:
            found += [each for each in self.others if one.port in each.about[:1]]
        return found

    def shared(self, one: Attached) -> list[Entry]:
        """Return what holds for others, too: of its bridge, and of its subnet."""
        held = [ipaddress.ip_interface(text).ip for text in one.addresses]
        return [each for each in self.others if _covers(each, one.master, held)]

    def number(self) -> int:
        """Return how many there are."""
        return sum(map(len, self.by_owner.values())) + len(self.others)


def listed() -> Rules:
    """Return what the kernel has of our tables; raises Code.INTERNAL."""
    by_owner: dict[str, list[Entry]] = {}
    others: list[Entry] = []
    for table in tables():
        for entry in _entries(table, nft.list_json(f"list table {table}")):
            if entry.owner and entry.kind != "chain":
                by_owner.setdefault(entry.owner, []).append(entry)
            else:
                others.append(entry)
    return Rules(by_owner, tuple(others))


def tables() -> list[str]:
    """Return family and name of our tables that there are; raises Code.INTERNAL."""
    found = (item.get("table") for item in nft.list_json("list tables"))
    return [
        f"{table['family']} {table['name']}"
        for table in found
        if table and str(table["name"]).startswith(_OURS)
    ]


def _entries(table: str, objects: list[dict[str, Any]]) -> Iterator[Entry]:
    for item in objects:
        for kind in ("map", "set"):
            if kind in item:
                name = item[kind]["name"]
                for each in own_tables.elements([item], name):
                    yield _element(table, kind, name, each)
        if "rule" in item:
            comment = str(item["rule"].get("comment", ""))
            if subnet := _SUBNET.match(comment):
                chain = str(item["rule"]["chain"])
                purpose = f"what leaves {subnet[1]} is seen as the host"
                text, about = comment, (subnet[1],)
                yield Entry(table, "chain", chain, text, purpose, comment, about)


def _element(table: str, kind: str, name: str, each: own_tables.Listed) -> Entry:
    key = tuple(_PROTOCOLS.get(word, word) for word in each.key)
    value = " . ".join(each.value)
    text = " . ".join(key) + (f" : {value}" if value else "")
    told = _purpose(table, name)
    purpose = told.format(*key, *[""] * 4, value=" port ".join(each.value))
    return Entry(table, kind, name, text, purpose, each.comment, key)


@cache
def _purpose(table: str, name: str) -> str:
    """Return what an element of a set or map is for, with places for its words."""
    base = name.partition("_")[0].rstrip("46") if "_" in name else name.rstrip("46")
    for known in _PURPOSES:
        if re.fullmatch(rf"{known}[46]?(_[0-9a-f]+)?", name):
            base = known
    return _PURPOSES_THERE.get((table, base)) or _PURPOSES.get(base, "")


def _covers(entry: Entry, master: str, held: list[Any]) -> bool:
    """Tell whether an entry of no owner is about a bridge, or a subnet of `held`."""
    if entry.kind != "chain":
        return bool(master) and master in entry.about
    subnet = ipaddress.ip_network(entry.about[0], strict=False)
    return any(address in subnet for address in held)
