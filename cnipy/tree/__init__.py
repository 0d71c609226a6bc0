# SPDX-License-Identifier: Apache-2.0
"""Who is attached to what: networks, links of the host, and containers on them.

From the records, what each part tells; what differs in the kernel beside.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cni_common import parts
from cni_common.attachment import record
from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.spec.values import NamedTuple, dataclass, field
from cnipy.tree import comparing, reading
from cnipy.tree.comparing import Helpers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Difference
    from cni_common.attachment.record import Record
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment
    from cnipy.recorded import Recorded
    from cnipy.ruleset import Rules
    from cnipy.tree.reading import Published

GONE = "its network namespace is gone; `cnipy gc` removes what is left"
UNFINISHED = "its ADD did not come to an end"
NO_PARTS = "it keeps an account of its own"


class Told(NamedTuple):
    """What a plugin wrote down, if it is parts, and what of it is not so."""

    plugin: str
    record: Record | None
    differences: list[Difference]


@dataclass
class Attached:
    """A container's attachment: its link here and there, and what it has by that.

    port: the host's end of a veth; master: the bridge or device that the link is on,
    kind: of which kind the link is; limits: in words; rules: how many of nftables are
    its own, None where nobody looked.
    """

    attachment: Attachment
    lives: bool
    plugins: list[Told]
    called: tuple[str, ...] = ()
    kind: str = ""
    inside: str = ""
    port: str = ""
    master: str = ""
    mac: str = ""
    addresses: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    gateways: list[str] = field(default_factory=list)
    rules: int | None = None

    @property
    def title(self) -> str:
        """The container's ID, and what a runtime calls it."""
        called = f" ({self.called[-1]})" if self.called else ""
        return f"{self.attachment.container_id}{called}"

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, each in words."""
        found = [] if self.lives else [GONE]
        for told in self.plugins:
            if told.record is not None and not told.record.is_made:
                found.append(f"{told.plugin}: {UNFINISHED}")
            found += [each.text for each in told.differences]
        return list(dict.fromkeys(found))

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        at = self.attachment
        return {
            "network": at.network,
            "containerID": at.container_id,
            "ifname": at.ifname,
            "netns": at.netns,
            "lives": self.lives,
            "called": list(self.called),
            "link": {
                "kind": self.kind,
                "inside": self.inside,
                "host": self.port,
                "master": self.master,
                "mac": self.mac,
            },
            "addresses": self.addresses,
            "gateways": self.gateways,
            "names": self.names,
            "published": [each.document() for each in self.published],
            "limits": self.limits,
            "rules": self.rules,
            "plugins": [_document(told) for told in self.plugins],
        }


def attached(
    found: Iterable[Recorded],
    called: Mapping[str, tuple[str, ...]],
    look: Callable[[], Rules | None] = lambda: None,
    *,
    compared: bool = True,
) -> list[Attached]:
    """Return what the records tell of attachments; `called` has runtimes' names.

    `look` returns our rules, for counting them, while children look at the rest.

    Unless they are `compared` the kernel is not asked for what differs.
    """
    items = list(found)
    helpers = Helpers(items if compared else [])
    rules = look()
    made = []
    with comparing.nowhere() as host:
        for number, item in enumerate(items):
            lives = item.lives
            own = compared and lives and number < helpers.first
            plugins = [_told(item, p, host if own else None) for p in item.plugins]
            names = called.get(item.attachment.container_id, ())
            one = Attached(item.attachment, lives, plugins, names)
            for told in plugins:
                for part in told.record.parts if told.record else ():
                    reading.read(one, part)
            if rules is not None:
                one.rules = len(rules.own(one))
            made.append(one)
        if compared:
            _complete(items, made, helpers, host)
    return sorted(made, key=_order)


def _complete(
    items: list[Recorded], made: list[Attached], helpers: Helpers, host: Node
) -> None:
    """Have what differs of the attachments that were left to the helpers."""
    differing = helpers.differences()
    for number in range(helpers.first, len(items)):
        item, one = items[number], made[number]
        if number in differing:
            found = differing[number]
            one.plugins = [
                each._replace(differences=found.get(each.plugin, []))
                for each in one.plugins
            ]
        elif one.lives:
            one.plugins = [_told(item, each.plugin, host) for each in one.plugins]


def _order(one: Attached) -> tuple[Any, ...]:
    """Return what orders attachments: network, link of the host, first address."""
    address = one.addresses[0].partition("/")[0] if one.addresses else ""
    number = (int(ip_address(address)),) if address else ()
    return one.attachment.network, one.master, number, one.attachment


def masters(found: Iterable[Attached]) -> dict[str, Link | None]:
    """Return the links of the host that attachments are on; raises Code.INTERNAL."""
    names = dict.fromkeys(one.master for one in found if one.master)
    with Netlink() as host:
        return {name: links.get(host, name) for name in names}


def _told(item: Recorded, plugin: str, beside: Node | None) -> Told:
    """Return what the record of a plugin tells; with a node, what differs there."""
    found = record.read_parts(plugin, item.attachment) if plugin in parts.OF else None
    if found is None or beside is None:
        return Told(plugin, found, [])
    return Told(plugin, found, comparing.of_record(item, plugin, found, beside))


def _document(told: Told) -> dict[str, Any]:
    if told.record is None:
        return {"type": told.plugin}
    made = told.record.parts
    return {
        "type": told.plugin,
        "complete": told.record.is_made,
        "ipam": told.record.ipam,
        "parts": [{"sentence": str(part), **part.document()} for part in made],
        "differences": [
            {"text": each.text, "details": each.details} for each in told.differences
        ],
    }
