# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair`: what living attachments lack is put back, without touching them.

What holds for many, as the table of published ports, is looked at once; then each
attachment's own parts. What ADD or DEL is at just now is left to them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cni_common import attachments
from cni_common.attachment import condition, record
from cni_common.attachment.chained import Scheme as Chained
from cni_common.attachment.node import Node
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.spec.values import NamedTuple
from cnipy.recorded import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cni_common.attachment.part import Repair
    from cni_common.attachment.record import Record
    from cni_common.frame.rollback import Gather
    from cnipy.recorded import Recorded
    from cnipy.suite import Suite


class Line(NamedTuple):
    """What is printed of one thing, and whether it could not be put back."""

    text: str
    failed: bool

    def __str__(self) -> str:
        return self.text

    def document(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"text": self.text, "failed": self.failed}


def repaired(
    suite: Suite,
    found: Iterable[Recorded],
    errors: Gather,
    *,
    dry_run: bool = False,
    only_rules: bool = False,
) -> Iterator[Line]:
    """Put back what the living lack; yield a line for each thing, once it is done.

    With `dry_run` nothing is changed; with `only_rules` what is no rule is not looked
    at. What cannot be is an error of `errors`.
    """
    living = [item for item in found if errors.attempt(lambda item=item: item.lives)]
    if not living:
        return
    with Node(Attachment("", "", ""), "") as host:
        for item in living:
            for plugin in _in_order(suite, item.plugins):
                read = partial(
                    record.read_visible,
                    plugin,
                    item.attachment,
                    only_rules=only_rules,
                )
                work = partial(_attachment, item, plugin, host, read)
                done = errors.attempt(work, dry_run=dry_run)
                yield from _told(done, plugin, dry_run=dry_run)


def _in_order(suite: Suite, plugins: Iterable[str]) -> list[str]:
    """Return the plugins of parts: first who makes the link, then who comes behind."""
    schemes = {plugin: suite.plugin(plugin).scheme for plugin in plugins}
    of_parts = [plugin for plugin, scheme in schemes.items() if scheme is not None]
    return sorted(of_parts, key=lambda plugin: isinstance(schemes[plugin], Chained))


def _attachment(
    item: Recorded,
    plugin: str,
    host: Node,
    read: Callable[[], Record | None],
    *,
    dry_run: bool,
) -> list[Repair]:
    """Return what the attachment lacked, put back while nobody else is at it."""
    with attachments.held(plugin, item.attachment, wait=False) as is_held:
        found = read() if is_held else None
        if found is None or not found.is_made:
            return []
        if found.netns_identity != item.identity:
            return []  # it was attached anew meanwhile
        with Node(item.attachment, plugin, record=found, beside=host) as node:
            work = condition.losses if dry_run else condition.repair
            return list(work(node, found.parts))


def _told(done: list[Repair] | None, plugin: str, *, dry_run: bool) -> Iterator[Line]:
    """Yield a line each; what was opened for doing it is closed."""
    if done:
        nft.release()
    for item in done or ():
        yield _line(item, plugin, dry_run=dry_run)


def _line(done: Repair, plugin: str, *, dry_run: bool) -> Line:
    who = name_of(done.owner) if done.owner else plugin
    fate = "would be put back" if dry_run else "put back"
    if done.failure:
        fate = f"cannot be put back: {done.failure}"
    return Line(f"{who}: {done.text}; {fate}", bool(done.failure))
