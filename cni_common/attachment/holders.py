# SPDX-License-Identifier: Apache-2.0
"""Which attachment holds what another one was to have, where only one can."""

from __future__ import annotations

from cni_common.attachment import record
from cni_common.kernel import netns

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment


def living(
    node: Node, is_same: Callable[[Part], bool], *, inside: bool
) -> Attachment | None:
    """Return another attachment of the plugin that lives and has such a part, or None.

    What is `inside` a container is the same only there. For what is rare.
    """
    for other, theirs in record.others(node.plugin, node.attachment):
        if (
            any(is_same(part) for part in theirs.parts)
            and (not inside or theirs.netns_identity == node.namespace.identity)
            and netns.lives(theirs.netns, theirs.netns_identity)
        ):
            return other
    return None
