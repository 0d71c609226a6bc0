# SPDX-License-Identifier: Apache-2.0
"""What a plugin says of its attachments; the engine does the rest."""

from __future__ import annotations

from cni_common.kernel import links
from cni_common.spec.result import Interface
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.record import Record
    from cni_common.naming import Attachment
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True)
class Plan:
    """An attachment before it is made: its parts in order, and its interfaces.

    `host_links` and then `ends`, of the container, are what the result lists, with MAC
    and MTU; `late_links` come behind. Ends `without_link` are told by name; `pci_id` is
    the device of an end.
    """

    parts: tuple[Part, ...]
    host_links: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    late_links: tuple[str, ...] = ()
    without_link: tuple[str, ...] = ()
    pci_id: str = ""


@dataclass(frozen=True)
class Told:
    """What CHECK is told: prevResult with the container's `end`, perhaps a record."""

    node: Node
    conf: Any
    result: Result
    end: Interface
    record: Record | None

    def has(self, kind: str) -> bool:
        """Tell whether the record has a part of the module `kind`."""
        return self.part(kind) is not None

    def part(self, kind: str) -> Any:
        """Return the record's part of the module `kind`, or None."""
        parts = self.record.parts if self.record else ()
        return next((part for part in parts if part.kind() == kind), None)

    def host_end(self, *others: str) -> Interface:
        """Return the host's end of a veth pair, as prevResult has it.

        That is the peer of the container's end, if it is told at all; else the first
        link of the host that is none of the `others`.
        """
        on_host = [i for i in self.result.interfaces if not i.sandbox]
        link = links.get(self.node.container, self.end.name)
        peer = None
        if link is not None and link.peer:
            peer = links.by_index(self.node.host, link.peer)
        named = [i for i in on_host if peer and i.name == peer.name]
        rest = [i for i in on_host if i.name not in others]
        return next(iter(named + rest), Interface(name=""))

    def on_host(self, name: str) -> Interface:
        """Return what prevResult tells of a link of the host, or its name alone."""
        found = (i for i in self.result.interfaces if not i.sandbox and i.name == name)
        return next(found, Interface(name=name))


def _nowhere(request: Request, conf: Any) -> str:
    """Return no name: the link is CNI_IFNAME."""
    del request, conf
    return ""


@dataclass(frozen=True)
class Scheme:
    """How the plugin `name` makes a plan of a configuration.

    `facts` looks at the host, before anything is changed; `told` has the same facts
    from a prevResult, for CHECK. `settled` completes what the IPAM plugin gave; `plan`
    makes the plan: both know nothing of the host. `ready` raises Code.NOT_AVAILABLE
    unless ADD could do its work. `unrecorded` are the parts, by module, that are looked
    for without a record, where it is not the one that is called as the plugin;
    `remains` looks for what only the configuration tells of. With `link_first` an IPAM
    plugin that asks by it finds the link. `beside` names the container's link where it
    is not to be CNI_IFNAME, but one more beside that of an earlier plugin.
    """

    name: str
    facts: Callable[[Node, Request, Any], Any]
    told: Callable[[Told], Any]
    settled: Callable[[Any, Result], Result]
    plan: Callable[[Attachment, Any, Result, Any], Plan]
    ready: Callable[[Request, Any], None]
    unrecorded: tuple[str, ...] = ()
    remains: Callable[[Node, Any], None] | None = None
    link_first: bool = True
    beside: Callable[[Request, Any], str] = _nowhere

    @property
    def kinds(self) -> tuple[str, ...]:
        """The parts, by module, that are looked for without a record."""
        return self.unrecorded or (self.name,)
