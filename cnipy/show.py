# SPDX-License-Identifier: Apache-2.0
"""`cnipy show`: attachments as they are on record, and what differs in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.attachment import condition, record
from cni_common.attachment.node import Node
from cni_common.naming import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.part import Difference
    from cni_common.attachment.record import Record
    from cnipy.recorded import Recorded
    from cnipy.suite import Suite

_GONE = "its network namespace is gone; `cnipy gc` removes what is left"
_UNFINISHED = "its ADD did not come to an end"
_NO_PARTS = "it keeps an account of its own"


def lines(suite: Suite, found: Iterable[Recorded]) -> Iterator[str]:
    """Yield attachments as text: a line each, below it their parts and differences."""
    with Node(Attachment("", "", ""), "") as host:
        for item in found:
            yield f"{item}, {item.attachment.netns or 'no namespace'}"
            if not item.lives:
                yield f"  ! {_GONE}"
            for plugin in item.plugins:
                yield from _plugin(suite, item, plugin, host)


def _plugin(suite: Suite, item: Recorded, plugin: str, host: Node) -> Iterator[str]:
    found = _record(suite, item, plugin)
    if found is None:
        yield f"  {plugin}: {_NO_PARTS}"
        return
    yield f"  {plugin}"
    if not found.is_made:
        yield f"    ! {_UNFINISHED}"
    yield from (f"    {part}" for part in found.parts)
    yield from (
        f"    ! {each.text}" for each in _differences(item, plugin, found, host)
    )


def documents(suite: Suite, found: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Return attachments as JSON values."""
    with Node(Attachment("", "", ""), "") as host:
        return [
            {
                "network": item.attachment.network,
                "containerID": item.attachment.container_id,
                "ifname": item.attachment.ifname,
                "netns": item.attachment.netns,
                "lives": item.lives,
                "plugins": [_document(suite, item, p, host) for p in item.plugins],
            }
            for item in found
        ]


def _document(suite: Suite, item: Recorded, plugin: str, host: Node) -> dict[str, Any]:
    found = _record(suite, item, plugin)
    if found is None:
        return {"type": plugin}
    differences = _differences(item, plugin, found, host)
    return {
        "type": plugin,
        "complete": found.is_made,
        "ipam": found.ipam,
        "parts": [{"sentence": str(part), **part.document()} for part in found.parts],
        "differences": [found._asdict() for found in differences],
    }


def _record(suite: Suite, item: Recorded, plugin: str) -> Record | None:
    """Return the record if it is one of parts that can be read."""
    if suite.plugin(plugin).scheme is None:
        return None
    return record.read_parts(plugin, item.attachment)


def _differences(
    item: Recorded, plugin: str, found: Record, host: Node
) -> list[Difference]:
    """Return what is not as recorded; of one that is dead nothing is expected.

    What was found whole of the `host` is not looked at again.
    """
    if not item.lives:
        return []
    with Node(item.attachment, plugin, record=found, beside=host) as node:
        return list(condition.differences(node, condition.lasting(found.parts)))
