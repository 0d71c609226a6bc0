# SPDX-License-Identifier: Apache-2.0
"""`cnipy repair`: what living attachments lack is put back, without touching them.

What holds for many, as the table of published ports, is looked at once; then each
attachment's own parts. What ADD or DEL is at just now is left to them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cni_common import attachments
from cni_common.attachment import condition, killed, record
from cni_common.attachment.chained import Scheme as Chained
from cni_common.attachment.node import Node
from cni_common.attachment.part import Repair
from cni_common.frame import counters
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple
from cnipy.recorded import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cni_common.attachment.record import Record
    from cni_common.attachment.scheme import Scheme
    from cni_common.frame.rollback import Gather
    from cnipy.recorded import Recorded
    from cnipy.suite import Suite

    AnyScheme = Scheme | Chained


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
            for scheme in _in_order(suite, item.plugins):
                read = partial(record.read_visible, only_rules=only_rules)
                work = partial(_attachment, item, scheme, host, read)
                done = errors.attempt(work, dry_run=dry_run)
                yield from _told(done, scheme.name, dry_run=dry_run)


def _in_order(suite: Suite, plugins: Iterable[str]) -> list[AnyScheme]:
    """Return whose plugins are of parts: who makes the link, then who comes behind."""
    schemes = [suite.plugin(plugin).scheme for plugin in plugins]
    of_parts = [scheme for scheme in schemes if scheme is not None]
    return sorted(of_parts, key=lambda scheme: isinstance(scheme, Chained))


def _attachment(
    item: Recorded,
    scheme: AnyScheme,
    host: Node,
    read: Callable[[str, Attachment], Record | None],
    *,
    dry_run: bool,
) -> list[Repair]:
    """Return what the attachment lacked, put back while nobody else is at it."""
    plugin = scheme.name
    with attachments.held(plugin, item.attachment, wait=False) as is_held:
        found = read(plugin, item.attachment) if is_held else None
        if found is None or found.netns_identity != item.identity:
            return []  # it was attached anew meanwhile
        if not found.is_made:
            return _undone(item, scheme, host, dry_run=dry_run)
        with Node(item.attachment, plugin, record=found, beside=host) as node:
            work = condition.losses if dry_run else condition.repair
            return list(work(node, found.parts))


def _undone(
    item: Recorded, scheme: AnyScheme, host: Node, *, dry_run: bool
) -> list[Repair]:
    """Return that a change was killed, after which all is as it was before it.

    One that is at work goes on. Who makes the link has its runtime delete it.
    """
    if not isinstance(scheme, Chained):
        return []
    plugin, owner = scheme.name, item.attachment
    with attachments.turn(owner, wait=False) as is_ours:
        found = record.read(plugin, owner) if is_ours else None
        if found is None or found.is_made:
            return []
        failure = ""
        if not dry_run:
            with Node(owner, plugin, record=found, beside=host) as node:
                try:
                    killed.undo(node, found)
                except CNIError as error:
                    failure = str(error)
            counters.count_repair(plugin, is_done=not failure)
    return [Repair(f"what was before {plugin} was killed", failure, owner)]


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
