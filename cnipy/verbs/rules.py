# SPDX-License-Identifier: Apache-2.0
"""`cnipy rules`: what a container has in nftables and iptables, and what for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnipy.command_line import CONTAINER
from cnipy.verb import Answer, Verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from cnipy.context import Context
    from cnipy.paper import Paper
    from cnipy.ruleset import Entry, Rules
    from cnipy.tree import Attached


class OfContainer(Answer):
    """The entries of each attachment: its own, and those that hold for others, too."""

    def __init__(
        self,
        found: Iterable[Attached],
        rules: Rules,
        filtered: Callable[[Attached], Iterable[Entry]],
    ) -> None:
        """`filtered` returns what an attachment has in iptables."""
        self.found = [
            (one, [*rules.own(one), *filtered(one)], rules.shared(one)) for one in found
        ]

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield them by table, each with its purpose."""
        for one, own, shared in self.found:
            at = one.attachment
            yield paper.tint(
                paper.cut(f"{at.network}, {at.ifname} of {one.title}"), "bold"
            )
            if not own and not shared:
                yield "  no rule and no element"
            yield from _by_table(own, paper)
            if shared:
                yield "  for others, too:"
                yield from _by_table(shared, paper)

    def document(self) -> list[dict[str, Any]]:
        """Return a list with an object for each attachment."""
        return [
            {
                "network": one.attachment.network,
                "containerID": one.attachment.container_id,
                "ifname": one.attachment.ifname,
                "rules": [
                    *(each.document(shared=False) for each in own),
                    *(each.document(shared=True) for each in shared),
                ],
            }
            for one, own, shared in self.found
        ]


def _by_table(entries: list[Entry], paper: Paper) -> Iterator[str]:
    for table in dict.fromkeys(each.table for each in entries):
        yield paper.cut(f"  table {table}")
        for each in entries:
            if each.table == table:
                yield paper.cut(f"    {each.kind} {each.name}: {each.text}")
                yield paper.tint(paper.cut(f"      {each.purpose}"), "faint")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER)
    parser.add_argument("network", metavar="NETWORK", nargs="?", help="on this alone")


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import filter_rules, on_record, ruleset, tree  # noqa: PLC0415 - the same
    from cnipy.containers import Containers  # noqa: PLC0415 - the same

    errors = Gather()
    chosen = on_record.of_container(context, options.container, options.network, errors)
    called = Containers(context, chosen).names()
    found = tree.attached(chosen, called, compared=False)
    answer = OfContainer(found, ruleset.listed(), filter_rules.of)
    on_record.tell_doubts(errors, context.tell)
    return answer


VERB = Verb(
    sentence="print the rules and elements of one container, and what each is for",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
