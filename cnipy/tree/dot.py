# SPDX-License-Identifier: Apache-2.0
"""Attachments as a graph in the language of Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.tree.drawing import card, grouped, ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cni_common.kernel.link_answer import Link
    from cnipy.tree import Attached


def lines(
    found: Sequence[Attached], masters: Mapping[str, Link | None]
) -> Iterator[str]:
    """Yield the graph: a node for each link of the host, one for each container."""
    yield "graph cnipy {"
    yield "  rankdir=LR"
    yield '  node [shape=box, fontname="monospace", fontsize=10]'
    yield '  edge [fontname="monospace", fontsize=9]'
    for number, group in enumerate(grouped(found)):
        yield f"  subgraph cluster_{number} {{"
        yield f"    label={_quoted(group.network)}"
        label = _quoted(*group.heading(masters))
        yield f"    m{number} [label={label}, style=filled, fillcolor=lightblue]"
        for index, one in enumerate(group.members):
            node = f"c{number}_{index}"
            label = _quoted(*card(one), *ports(one))
            colour = ", color=red" if one.faults else ""
            yield f"    {node} [label={label}{colour}]"
            yield f"    m{number} -- {node} [label={_quoted(one.port)}]"
        yield "  }"
    yield "}"


def _quoted(*texts: str) -> str:
    r"""Return the lines as one label; `\l` ends a line, and leaves it at the left."""
    escaped = (each.replace("\\", "\\\\").replace('"', '\\"') for each in texts)
    whole = "\\l".join(escaped)
    return f'"{whole}\\l"' if len(texts) > 1 else f'"{whole}"'
