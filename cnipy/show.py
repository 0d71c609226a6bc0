# SPDX-License-Identifier: Apache-2.0
"""`cnipy show`: attachments as they are on record, and what differs in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.attachment import engine
from cni_common.attachment.node import Node
from cnipy.recorded import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.part import Difference
    from cni_common.attachment.record import Record
    from cnipy.recorded import Recorded

_GONE = "its network namespace is gone; `cnipy gc` removes what is left"
_UNFINISHED = "its ADD did not come to an end"
_NO_PARTS = "it keeps its own account, which is not shown"


def lines(found: Iterable[Recorded]) -> Iterator[str]:
    """Yield attachments as text: a line each, below it their parts and differences."""
    for item in found:
        yield f"{name_of(item.attachment)}, {item.attachment.netns or 'no namespace'}"
        if not item.lives:
            yield f"  ! {_GONE}"
        for plugin, noted in item.records.items():
            yield f"  {plugin}"
            if not noted.is_made:
                yield f"    ! {_UNFINISHED}"
            yield from (f"    {part}" for part in noted.parts)
            for found_ in _differences(item, plugin, noted):
                yield f"    ! {found_.text}"
        yield from (f"  {plugin}: {_NO_PARTS}" for plugin in item.others)


def documents(found: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Return attachments as JSON values."""
    return [
        {
            "network": item.attachment.network,
            "containerID": item.attachment.container_id,
            "ifname": item.attachment.ifname,
            "netns": item.attachment.netns,
            "lives": item.lives,
            "plugins": [
                *(_document(item, *pair) for pair in item.records.items()),
                *({"type": plugin} for plugin in item.others),
            ],
        }
        for item in found
    ]


def _document(item: Recorded, plugin: str, noted: Record) -> dict[str, Any]:
    differences = _differences(item, plugin, noted)
    return {
        "type": plugin,
        "complete": noted.is_made,
        "ipam": noted.ipam,
        "parts": [{"sentence": str(part), **part.document()} for part in noted.parts],
        "differences": [found._asdict() for found in differences],
    }


def _differences(item: Recorded, plugin: str, noted: Record) -> list[Difference]:
    """Return what is not as recorded; of one that is dead nothing is expected."""
    if not item.lives:
        return []
    with Node(item.attachment, plugin, identity=item.identity) as node:
        return list(engine.differences(node, noted.parts))
