# SPDX-License-Identifier: Apache-2.0
"""ADD refuses an attachment that lives elsewhere, and an interface that exists."""

from __future__ import annotations

from cni_common.kernel import links, netns
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.record import Record
    from cni_common.spec.request import Request


def refuse_elsewhere(node: Node, request: Request, path: str, identity: str) -> None:
    """Raise Code.INTERNAL if the attachment lives in another namespace than CNI_NETNS.

    `path` and `identity` are those of the namespace in which it was made.
    """
    if identity != node.namespace.identity and netns.lives(path, identity):
        msg = f"add interface {request.ifname}: container {request.container_id}"
        raise CNIError(Code.INTERNAL, f"{msg} has it in {path}")


def refuse_existing(node: Node, name: str) -> None:
    """Raise Code.INTERNAL if the container has the interface (section 2, ADD)."""
    if links.get(node.container, name) is not None:
        raise existing(node, name)


def refuse_another(node: Node, name: str, found: Record) -> None:
    """Raise Code.INTERNAL if it is another interface that the plugin has made.

    A list that has the plugin twice would take it for the same ADD again.
    """
    from cni_common.attachment.own_link import OwnLink  # noqa: PLC0415 - a repeated ADD

    made = [part.inside for part in found.parts if isinstance(part, OwnLink)]
    for other in made:
        if other != name and links.get(node.container, other) is not None:
            msg = f"add interface {name}: {node.plugin} has made {other} already"
            raise CNIError(Code.INTERNAL, msg, "have another network for one of them")


def existing(node: Node, name: str) -> CNIError:
    """Return the error that the container has an interface `name` already."""
    msg = f"add interface {name}: it already exists"
    return CNIError(Code.INTERNAL, msg, f"in {node.namespace.path}")
