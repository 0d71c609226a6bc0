# SPDX-License-Identifier: Apache-2.0
"""What the container sends from addresses of an interface leaves by that interface."""

from __future__ import annotations

from cni_common import routing_tables
from cni_common.attachment.part import Difference
from cni_common.attachment.rerouted import Rerouted
from cni_common.frame.rollback import Gather
from cni_common.kernel import links, rules, saved_routes
from cni_common.kernel.routes import MAIN_TABLE
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.route_answer import IPAddress
    from cni_common.kernel.rules import Rule
    from cni_common.kernel.saved_routes import SavedRoute


@dataclass(frozen=True, kw_only=True)
class SourceRouted(Rerouted):
    """Each of `sources` has a rule to that of `tables` in its place.

    The interface has `routes`, in the tables and in the main one, for those `before`,
    all of which the main one had. Tables that are not its own are filled by others.
    """

    sources: tuple[IPAddress, ...]
    tables: tuple[int, ...]
    own_tables: bool = True
    routes: tuple[SavedRoute, ...] = ()

    def __str__(self) -> str:
        """Return the sentence."""
        pairs = zip(self.sources, self.tables, strict=False)
        told = ", ".join(f"from {source} by table {table}" for source, table in pairs)
        ways = ", ".join(str(r) for r in self.routes if r.table != MAIN_TABLE)
        return f"the container sends {told}" + (f": {ways}" if ways else "")

    @property
    def rules(self) -> list[Rule]:
        """The rules, one an address."""
        pairs = zip(self.sources, self.tables, strict=False)
        return [rules.Rule(source, table) for source, table in pairs]

    def ensure(self, node: Node) -> None:
        """Have the routes in their tables, then the rules, then no others.

        So there is a way at every moment. Raises Code.INTERNAL.
        """
        self.link(node)
        inside = node.container
        node.undo(self.revert, node)
        in_main = [route for route in self.routes if route.table == MAIN_TABLE]
        saved_routes.put(inside, [r for r in self.routes if r not in in_main])
        rules.add(inside, self.rules)
        saved_routes.drop(inside, [r for r in self.before if r not in in_main])
        saved_routes.put(inside, in_main)

    def revert(self, node: Node) -> None:
        """Restore rules and routes; raises Code.INTERNAL."""
        inside, link = node.container, _end(node, self.inside, self.index)
        errors = Gather()
        with errors:
            errors.attempt(rules.delete, inside, self.rules)
            if link is not None:  # else its routes have gone with it
                made = [route for route in self.routes if route not in self.before]
                hints = [route for route in made if route.table == MAIN_TABLE]
                placed = [route for route in made if route.table != MAIN_TABLE]
                # Of routes that differ in their source alone IPv6 has but one.
                errors.attempt(saved_routes.drop, inside, hints)
                errors.attempt(saved_routes.put, inside, self.before)
                errors.attempt(saved_routes.drop, inside, placed)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what rules and routes are missing, and what main has again."""
        held = rules.listed(node.container)
        for rule in self.rules:
            if rule not in held:
                text = f"check rule from {rule.source}: missing, to table {rule.table}"
                yield Difference(text)
        present = self.present(node)
        yield from self.missing(self.routes, present)
        again = present - {route.key for route in self.routes}
        for route in self.before:
            if route.key in again:
                yield Difference(f"check route {route}: in table {route.table} again")

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Make absent what says by its mark, and by where it leads, that it is ours.

        And what the reference plugin made: rules from the addresses of the link. GC,
        which knows no namespace, leaves that to DEL.
        """
        from cni_common.kernel import addresses  # noqa: PLC0415 - rare

        is_del = node.request is not None and node.request.command == "DEL"
        if not is_del or not node.finds_namespace():
            return
        inside = node.container
        link = _end(node, node.attachment.ifname)
        own = {link.index} if link else set[int]()
        held = addresses.of_link(inside, link) if link else []
        sources = {each.address.ip for each in held}
        through = saved_routes.links_of_tables(inside)
        found = [
            rule
            for rule in rules.listed(inside)
            if rule.table not in routing_tables.RESERVED
            and (
                rule.source in sources
                or (rule.is_ours and through.get(rule.table, own) <= own)
            )
        ]
        rules.delete(inside, found)
        tables = {rule.table for rule in found if rule.is_ours}
        ways = saved_routes.of_link(inside, link) if link else []
        saved_routes.drop(inside, [way for way in ways if way.table in tables])


def _end(node: Node, name: str, index: int = 0) -> Link | None:
    """Return the link, of that `index` if any, where it lives."""
    link = links.get(node.container, name)
    return link if link is not None and index in {0, link.index} else None
