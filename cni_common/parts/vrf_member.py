# SPDX-License-Identifier: Apache-2.0
"""The container's interface has its routes in the table of a VRF."""

from __future__ import annotations

from cni_common import naming, routing_tables
from cni_common.attachment.part import Difference
from cni_common.attachment.rerouted import Rerouted
from cni_common.frame.rollback import Gather
from cni_common.kernel import addresses, links, netns, saved_routes, vrfs
from cni_common.kernel.routes import MAIN_TABLE
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.saved_routes import SavedRoute


@dataclass(frozen=True, kw_only=True)
class VrfMember(Rerouted):
    """The interface is in `vrf`, whose `vrf_table` has its routes.

    `before` are all that it had, in the main table or in others, which have
    them again.
    """

    vrf: LinkName
    vrf_table: Bits32

    def __str__(self) -> str:
        """Return the sentence."""
        ways = ", ".join(str(route) for route in self.routes)
        told = (
            f"{self.inside} in the container is in {self.vrf}, table {self.vrf_table}"
        )
        return told + (f": {ways}" if ways else "")

    @property
    def routes(self) -> list[SavedRoute]:
        """What the interface has for `before`."""
        return [
            route.moved(self.vrf_table) if route.table == MAIN_TABLE else route
            for route in self.before
        ]

    def ensure(self, node: Node) -> None:
        """Make the VRF with its first interface; raises Code.INTERNAL."""
        routing_tables.take_turn(node)
        inside, link = node.container, self.link(node)
        node.undo(self.revert, node)
        if vrfs.table_of(inside, self.vrf) is None:
            passing = naming.passing(node.attachment)
            vrfs.add(inside, self.vrf, self.vrf_table, passing=passing)
        vrf = links.existing(inside, self.vrf)
        if link.master != vrf.index:
            _set_master(node, link, vrf)
        if link.is_up:
            saved_routes.put(inside, self.routes)

    def revert(self, node: Node) -> None:
        """Have the interface in no VRF, with its routes, and none without an interface.

        Raises Code.INTERNAL.
        """
        routing_tables.take_turn(node)
        inside = node.container
        vrf, link = links.get(inside, self.vrf), links.get(inside, self.inside)
        with Gather() as errors:
            if link is not None and link.index == self.index:
                if vrf is not None and link.master == vrf.index:
                    errors.attempt(_set_master, node, link, None)
                if link.is_up:
                    errors.attempt(saved_routes.put, inside, self.before)
            if vrf is not None and vrf.alias == vrfs.ALIAS:
                errors.attempt(_delete_empty, node, vrf)
            # An ADD may have been killed before the VRF had its name.
            unfinished = links.get(inside, naming.passing(node.attachment))
            if unfinished is not None and unfinished.kind == vrfs.KIND:
                errors.attempt(links.delete, inside, unfinished.name)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of VRF and routes."""
        inside, link = node.container, node.end(self.inside)
        table = vrfs.table_of(inside, self.vrf)
        vrf = links.get(inside, self.vrf)
        if table != self.vrf_table or vrf is None:
            shown = "there is none" if table is None else f"its table is {table}"
            yield Difference(f"check vrf {self.vrf}: {shown}, not {self.vrf_table}")
        elif link.master != vrf.index:
            yield Difference(f"check link {self.inside}: it is not in vrf {self.vrf}")
        yield from self.missing(self.routes, self.present(node))

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Have the interface in no VRF, and none without an interface.

        Whoever made it, as the reference plugin does. GC, which knows no namespace,
        leaves that to DEL.
        """
        is_del = node.request is not None and node.request.command == "DEL"
        if not is_del or not node.finds_namespace():
            return
        routing_tables.take_turn(node)
        inside = node.container
        link = links.get(inside, node.attachment.ifname)
        vrf = links.by_index(inside, link.master) if link and link.master else None
        if link is not None and vrf is not None and vrf.kind == vrfs.KIND:
            _set_master(node, link, None)
            _delete_empty(node, vrf)


def _set_master(node: Node, link: Link, vrf: Link | None) -> None:
    """Have `link` in `vrf`, or in none, with its addresses; its routes are lost.

    The kernel sets it down meanwhile, and drops global addresses of IPv6 unless they
    are kept.
    """
    inside = node.container
    held = addresses.of_link(inside, link)
    vrfs.set_master(inside, link, vrf)
    for each in held:
        if each.permanent and not each.address.ip.is_link_local:
            addresses.ensure(inside, link, each.address)
    if any(each.address.version == 6 for each in held):  # noqa: PLR2004 - the family
        with netns.entered(node.namespace):
            addresses.wait_usable(inside, link)
    node.forget()


def _delete_empty(node: Node, vrf: Link) -> None:
    """Delete the VRF unless an interface is in it."""
    if not links.has_ports(node.container, vrf):
        links.delete(node.container, vrf.name)
