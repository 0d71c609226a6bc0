# SPDX-License-Identifier: Apache-2.0
"""`cnipy show`: who is attached to what, and what of that is not so by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnipy.paper import Paper
from cnipy.verb import Answer, Lines, Verb
from cnipy.words import add_chosen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from cni_common.kernel.link_answer import Link
    from cnipy.context import Context
    from cnipy.ruleset import Rules
    from cnipy.tree import Attached


class Tree(Answer):
    """Attachments, the files of their networks, and the links of the host."""

    def __init__(
        self,
        found: list[Attached],
        files: Mapping[str, str],
        masters: Mapping[str, Link | None],
    ) -> None:
        self.found, self.files, self.masters = found, files, masters

    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the tree."""
        from cnipy.tree import text  # noqa: PLC0415 - for this form alone

        return text.lines(self.found, self.files, self.masters, paper)

    def document(self) -> Any:
        """Return a list of the attachments."""
        return [one.document() for one in self.found]


class Parts(Tree):
    """The same, with a sentence for each part."""

    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the attachments with their parts."""
        from cnipy.tree import text  # noqa: PLC0415 - for this form alone

        return map(paper.cut, text.sentences(self.found))


class Graph(Tree):
    """The same, for Graphviz."""

    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the graph."""
        from cnipy.tree import dot  # noqa: PLC0415 - for this form alone

        del paper
        return dot.lines(self.found, self.masters)


class Picture(Tree):
    """The same, drawn."""

    def lines(self, paper: Paper) -> Iterable[str]:
        """Return the picture in SVG."""
        from cnipy.tree import drawing, nodes  # noqa: PLC0415 - for this form alone

        del paper
        networks = {one.attachment.network for one in self.found}
        return drawing.lines(self.found, self.masters, nodes.others(networks))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_chosen(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--parts", action="store_true", help="a sentence for each part of an attachment"
    )
    form.add_argument("--dot", action="store_true", help="a graph for Graphviz")
    form.add_argument(
        "--svg", metavar="FILE", help="draw a picture; `-` is standard output"
    )


def _run(context: Context, options: argparse.Namespace) -> Answer:
    from cni_common.frame.rollback import Gather  # noqa: PLC0415 - for the work alone
    from cnipy import on_record, ruleset, tree  # noqa: PLC0415 - netlink is expensive
    from cnipy.containers import Containers  # noqa: PLC0415 - the same

    errors = Gather()
    chosen = on_record.chosen(context, options, errors)

    def look() -> Rules | None:
        wanted = chosen and not options.parts
        rules: Rules | None = errors.attempt(ruleset.listed) if wanted else None
        return rules

    called = Containers(context, chosen).names()
    whole = options.parts or context.json
    found = tree.attached(chosen, called, look, with_parts=whole)
    masters = errors.attempt(tree.masters, found) or {}
    on_record.tell_doubts(errors, context.tell)
    given = (found, context.files(), masters)
    if options.svg:
        return _drawn(Picture(*given), options.svg)
    form = Graph if options.dot else Parts if options.parts else Tree
    return form(*given)


def _drawn(picture: Picture, file: str) -> Answer:
    """Write the picture to a file, unless that is standard output."""
    if file == "-":
        return picture
    with open(file, "w", encoding="utf-8") as opened:
        opened.writelines(f"{line}\n" for line in picture.lines(Paper()))
    return Lines(picture.document())


VERB = Verb(
    sentence="print who is attached to what, as a tree, and what of that is not so by "
    "now",
    run=_run,
    changes=False,
    add_arguments=_add_arguments,
)
