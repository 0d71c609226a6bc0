# SPDX-License-Identifier: Apache-2.0
"""An ADD of a chained plugin that was killed: what was there before is there again."""

from __future__ import annotations

from cni_common.attachment import condition, record
from cni_common.frame.rollback import Rollback
from cni_common.spec.values import replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.attachment.record import Record


def undo(node: Node, found: Record) -> Record | None:
    """Have the former parts in place of those that were begun; return their record.

    None where there were none before. It stays, whatever becomes of the call; parts
    that are the same are not touched. Raises CNIError, with nothing else on record.
    """
    undoing, node.undo = node.undo, Rollback()
    with node.undo:
        begun = {type(each): each for each in found.parts}
        kept = {type(each) for each in found.former}
        for each in reversed(found.parts):
            if type(each) not in kept:
                each.remove(node)
        for each in found.former:
            _bring_back(node, each, begun.get(type(each), each))
            node.forget()
        whole = replace(found, parts=found.former, former=(), complete=True)
        if whole.parts:
            record.write(node.plugin, node.attachment, whole)
        else:
            record.delete(node.plugin, node.attachment)
    node.undo = undoing
    return whole if whole.parts else None


def _bring_back(node: Node, part: Part, begun: Part) -> None:
    """Have `part` as it was, whether the one that was `begun` is there or not."""
    if part.settles or (begun != part and condition.lacking(node, part)):
        part.replace(node, begun)
    elif condition.lacking(node, part):
        part.repair(node)
