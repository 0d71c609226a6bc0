# SPDX-License-Identifier: Apache-2.0
"""Plugins that stand where they cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.doubts.doubt import ERROR, WARNING, Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnipy.doubts.entries import Entry
    from cnipy.suite import Suite


def misplaced(listed: Sequence[Entry]) -> Iterator[Doubt]:
    """Yield plugins that a list has in the wrong place."""
    for number, entry in enumerate(listed):
        before = [each for each in listed[:number] if not each.is_lo]
        text = _misplaced(entry, before)
        if text:
            yield Doubt(ERROR, f"{entry.kind}: {text}", (*entry.path, "type"))


def _misplaced(entry: Entry, before: Sequence[Entry]) -> str:
    if entry.is_ipam:
        return 'an IPAM plugin belongs under "ipam" of the plugin that makes the link'
    if entry.is_chained and not any(e.makes_link or not e.is_ours for e in before):
        return (
            "it changes what a plugin before it has made, and none does: put it behind "
            "one such as bridge"
        )
    makers = [each.kind for each in before if each.makes_link]
    if entry.makes_link and makers:
        return f"it makes the interface, which {makers[0]} before it has made"
    return ""


def idle(suite: Suite, listed: Sequence[Entry]) -> Iterator[Doubt]:
    """Yield what has no effect with such capabilities, behind such plugins."""
    for number, entry in enumerate(listed):
        if not entry.is_ours:
            continue
        before = [each.conf for each in listed[:number]]
        for text in entry.conf.doubts(entry.declared, before):
            yield Doubt(WARNING, f"{entry.kind}: {text}", (*entry.path, "type"))
        if entry.ipam in suite.names:
            conf = suite.read(entry.ipam, entry.whole)
            for text in conf.doubts(entry.declared, before):
                yield Doubt(WARNING, f"{entry.kind}: {text}", (*entry.path, "ipam"))
