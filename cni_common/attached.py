# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment that consists of one link in the container.

It is written before the link is made or moved, and again when ADD is complete; so a
record that is not complete tells of an ADD that was killed.
"""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.kernel import links, netns
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field, replace

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cni_common.shapes import Shape, Table
    from cni_common.sides import Sides
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result, Route


_TABLE: Table = {
    "netns": (shapes.text, ""),
    "netnsIdentity": (shapes.text, ""),
    "ipam": (shapes.text, ""),
    "routes": (shapes.listed(shapes.ROUTE), ()),
    "complete": (shapes.flag, False),
}


@dataclass(frozen=True)
class Attached:
    """Where the link is, who gave the addresses, and what is the plugin's `own`.

    `routes` are documents of the result, with all their fields.
    """

    netns: str
    netns_identity: str
    ipam: str
    own: dict[str, Any] = field(default_factory=dict)
    routes: tuple[dict[str, Any], ...] = ()
    complete: bool = False

    def living(self, *paths: str) -> str:
        """Return the first path, the recorded one last, where the namespace lives.

        Empty when it is found at none of them.
        """
        for path in (*paths, self.netns):
            if path and netns.lives(path, self.netns_identity):
                return path
        return ""


def write(plugin: str, owner: Attachment, record: Attached) -> None:
    """Write down what `plugin` does, or is about to do, for `owner`."""
    document = {
        "netns": record.netns,
        "netnsIdentity": record.netns_identity,
        "ipam": record.ipam,
        "own": record.own,
        "routes": list(record.routes),
        "complete": record.complete,
    }
    attachments.write(plugin, owner, document)


def read(
    plugin: str, owner: Attachment, own: Shape = shapes.mapping
) -> Attached | None:
    """Return the record of `owner`, or None when there is none; `own` reads its own."""
    document = attachments.read(plugin, owner, _table(own))
    return None if document is None else _of_document(document)


def of_plugin(plugin: str, own: Shape) -> Iterator[tuple[Attachment, Attached]]:
    """Yield every record of `plugin`; for what is rare only."""
    for owner, document in attachments.of_plugin(plugin, _table(own)):
        yield owner, _of_document(document)


def _table(own: Shape) -> Table:
    return {**_TABLE, "own": (own, {})}


def _of_document(document: dict[str, Any]) -> Attached:
    return Attached(
        document["netns"],
        document["netnsIdentity"],
        document["ipam"],
        document["own"],
        document["routes"],
        document["complete"],
    )


def starting(side: Sides, ipam: str, own: dict[str, Any]) -> Attached:
    """Return the record with which ADD begins."""
    return Attached(side.namespace.path, side.namespace.identity, ipam, own)


def complete(record: Attached, result: Result) -> Attached:
    """Return the record with which ADD ends."""
    routes = tuple(route.document() for route in result.routes)
    return replace(record, routes=routes, complete=True)


def routes_of(record: Attached | None) -> list[Route]:
    """Return the routes that a record tells of."""
    from cni_common.spec.result import Route  # noqa: PLC0415 - models are dear

    return [Route.model_validate(each) for each in record.routes] if record else []


def delete_remains(
    plugin: str,
    side: Sides,
    request: Request,
    detach: Callable[[Request], bool],
) -> None:
    """Have nothing left of an earlier ADD of this attachment that was killed.

    One that is complete, and whose link is there, is left alone. Raises code 999
    when the attachment lives in another namespace.
    """
    noted = read(plugin, Attachment.of(request))
    if noted is None:
        return
    if noted.netns_identity != side.namespace.identity:
        if noted.living():
            msg = f"add interface {request.ifname}: container {request.container_id}"
            raise CNIError(Code.INTERNAL, f"{msg} has it in {noted.netns}")
    elif noted.complete and links.get(side.container, request.ifname) is not None:
        return
    detach(request.as_verb("DEL"))
