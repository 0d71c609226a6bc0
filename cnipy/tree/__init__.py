# SPDX-License-Identifier: Apache-2.0
"""Who is attached to what: networks, links of the host, and containers on them.

From the records, what each part tells; what differs in the kernel beside.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cni_common import parts
from cni_common.attachment import condition, record
from cni_common.attachment.node import Node
from cni_common.attachment.survey import Survey
from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from cni_common.spec.values import NamedTuple, dataclass, field
from cnipy.tree import reading
from cnipy.tree.children import Children
from cnipy.tree.reading import Published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cni_common.attachment.part import Difference
    from cni_common.attachment.record import Record
    from cni_common.kernel.link_answer import Link
    from cnipy.recorded import Recorded
    from cnipy.ruleset import Rules

GONE = "its network namespace is gone; `cnipy gc` removes what is left"
UNFINISHED = "its ADD did not come to an end"
NO_PARTS = "it keeps an account of its own"


class Told(NamedTuple):
    """What a plugin wrote down, and what of it is not so, each as JSON values.

    complete: whether its ADD came to an end, None where it has no record of parts;
    parts: those, if they were asked for.
    """

    plugin: str
    complete: bool | None = None
    ipam: str = ""
    parts: tuple[dict[str, Any], ...] = ()
    differences: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Told:
        """Return what `document` made JSON values of."""
        if "complete" not in document:
            return cls(document["type"])
        return cls(
            document["type"],
            document["complete"],
            document["ipam"],
            tuple(document["parts"]),
            tuple(document["differences"]),
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        if self.complete is None:
            return {"type": self.plugin}
        return {
            "type": self.plugin,
            "complete": self.complete,
            "ipam": self.ipam,
            "parts": list(self.parts),
            "differences": list(self.differences),
        }


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
            if told.complete is False:
                found.append(f"{told.plugin}: {UNFINISHED}")
            found += [each["text"] for each in told.differences]
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
            "plugins": [told.document() for told in self.plugins],
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Attached:
        """Return what `document` made JSON values of."""
        who = (document[key] for key in ("network", "containerID", "ifname", "netns"))
        link = document["link"]
        return cls(
            attachment=Attachment(*who),
            lives=document["lives"],
            plugins=[Told.of_document(each) for each in document["plugins"]],
            called=tuple(document["called"]),
            kind=link["kind"],
            inside=link["inside"],
            port=link["host"],
            master=link["master"],
            mac=link["mac"],
            addresses=document["addresses"],
            names=document["names"],
            published=[Published.of_document(each) for each in document["published"]],
            limits=document["limits"],
            gateways=document["gateways"],
            rules=document["rules"],
        )


def attached(
    found: Iterable[Recorded],
    called: Mapping[str, tuple[str, ...]],
    look: Callable[[], Rules | None] = lambda: None,
    *,
    compared: bool = True,
    with_parts: bool = False,
) -> list[Attached]:
    """Return what the records tell of attachments; `called` has runtimes' names.

    `look` returns our rules, for counting them, while children look at other things.
    Unless they are `compared` the kernel is not asked for what differs.
    """

    def read(share: Sequence[Recorded]) -> list[Attached]:
        with Node(Attachment("", "", ""), "", survey=survey) as host:
            beside = host if compared else None
            return [_read(item, called, beside, with_parts) for item in share]

    items = list(found)
    survey = Survey() if items and compared else None
    children = Children(items, lambda share: [one.document() for one in read(share)])
    rules = look()
    made = read(items[: children.first])
    told = children.told()
    made += map(Attached.of_document, told.values())
    made += read([items[n] for n in range(children.first, len(items)) if n not in told])
    if rules is not None:
        for one in made:
            one.rules = len(rules.own(one))
    return sorted(made, key=_order)


def _read(
    item: Recorded,
    called: Mapping[str, tuple[str, ...]],
    beside: Node | None,
    with_parts: bool,  # noqa: FBT001 - as `attached` has it
) -> Attached:
    lives = item.lives
    names = called.get(item.attachment.container_id, ())
    one = Attached(item.attachment, lives, [], names)
    for plugin in item.plugins:
        found = None
        if plugin in parts.OF:
            found = record.read_parts(plugin, item.attachment)
        if found is None:
            one.plugins.append(Told(plugin))
            continue
        for part in found.parts:
            reading.read(one, part)
        lacking = _differences(item, plugin, found, beside) if lives else ()
        made = found.parts if with_parts else ()
        one.plugins.append(
            Told(
                plugin,
                found.is_made,
                found.ipam,
                tuple({"sentence": str(part), **part.document()} for part in made),
                tuple({"text": d.text, "details": d.details} for d in lacking),
            )
        )
    return one


def _differences(
    item: Recorded, plugin: str, found: Record, beside: Node | None
) -> list[Difference]:
    """Return what is not as a plugin recorded.

    What was found whole of the host `beside` is not looked at again.
    """
    if beside is None:
        return []
    with Node(item.attachment, plugin, record=found, beside=beside) as node:
        return list(condition.differences(node, condition.lasting(found.parts)))


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
