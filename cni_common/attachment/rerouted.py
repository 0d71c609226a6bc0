# SPDX-License-Identifier: Apache-2.0
"""Parts that have the routes of a container's interface elsewhere: what they share."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.frame.rollback import Gather
from cni_common.kernel import saved_routes
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.saved_routes import SavedRoute


@dataclass(frozen=True, kw_only=True)
class Rerouted(Part):
    """`inside`, of that `index`, has other routes for those that it had `before`."""

    inside: LinkName
    index: Bits32
    before: tuple[SavedRoute, ...] = ()

    if TYPE_CHECKING:

        def revert(self, node: Node) -> None:
            """Have all as it was, where the link lives; raises Code.INTERNAL."""

    def link(self, node: Node) -> Link:
        """Return the link; raises Code.INTERNAL where it is another one by now."""
        link = node.end(self.inside)
        if link.index != self.index:
            msg = f"set routes of {self.inside}: it is another one by now"
            raise CNIError(Code.INTERNAL, msg)
        return link

    def remove(self, node: Node) -> None:
        """Have all as it was, where the namespace lives.

        What the kernel refuses is a warning: the namespace is about to go, and a failed
        DEL would keep the plugins that come after it from theirs.
        """
        if not node.finds_namespace():
            return
        errors = Gather()
        errors.attempt(self.revert, node)
        errors.retry()
        for cause in dict.fromkeys(map(str, errors.raised)):
            node.warn(f"put back: {cause}")

    def loss(self, node: Node) -> str:
        """Tell whether the link is gone."""
        is_there = node.end(self.inside).index == self.index
        return "" if is_there else f"link {self.inside} is gone"

    def present(self, node: Node) -> set[bytes]:
        """Return the keys of all routes that the interface has."""
        link = node.end(self.inside)
        return {route.key for route in saved_routes.of_link(node.container, link)}

    @staticmethod
    def missing(
        routes: Iterable[SavedRoute], present: set[bytes]
    ) -> Iterator[Difference]:
        """Yield those of `routes` that are not `present`."""
        for route in routes:
            if route.key not in present:
                text = f"check route {route}: missing in table {route.table}"
                yield Difference(text)
