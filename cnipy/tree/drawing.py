# SPDX-License-Identifier: Apache-2.0
"""Attachments as a picture in SVG: each link of the host is a bar, and below it hang,
in columns, the containers that are on it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cni_common.kernel.link_answer import Link
    from cnipy.tree import Attached
    from cnipy.tree.nodes import Nodes

_LETTER, _LINE = 7.25, 16  # pixels: width of a letter, height of a line
_PADDING, _GAP, _STUB = 8, 14, 22
_LETTERS = 30  # in a line of a card
_MOST_COLUMNS, _NODE_COLUMNS = 10, 3
_ID = 20  # digits of a container ID that are shown
_STYLE = """\
text { font: 12px 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace; \
fill: #1b2733 }
.page { fill: #ffffff } .network { fill: #f4f6f8; stroke: #c9d2da }
.link { fill: #2f6f9f } .link-text { fill: #ffffff; font-weight: bold }
.card { fill: #ffffff; stroke: #7f93a3 } .fault { stroke: #c0392b; stroke-width: 2 }
.gone { stroke-dasharray: 5 4 } .wire { stroke: #2f6f9f; stroke-width: 1.5; fill: none }
.name { font-weight: bold } .port { fill: #1e7e45 } .bad { fill: #c0392b }
.title { font-size: 15px; font-weight: bold }"""


class Group(NamedTuple):
    """The attachments to one network by one link of the host, which may be none."""

    network: str
    master: str
    members: list[Attached]

    def heading(self, masters: Mapping[str, Link | None]) -> list[str]:
        """Return the link in words."""
        if not self.master:
            return ["no common link of the host"]
        link = masters.get(self.master)
        if link is None:
            return [f"{self.master}: there is no such link"]
        gateways = dict.fromkeys(t for one in self.members for t in one.gateways)
        state = "" if link.is_up else " is down"
        return [f"{link.kind or 'device'} {self.master}{state}", *gateways]


class Size(NamedTuple):
    """Width and height in pixels."""

    width: float
    height: float


def grouped(found: Sequence[Attached]) -> list[Group]:
    """Return the attachments by network and link, in the order of networks."""
    groups: dict[tuple[str, str], list[Attached]] = {}
    for one in found:
        groups.setdefault((one.attachment.network, one.master), []).append(one)
    return [Group(*key, members) for key, members in groups.items()]


def card(one: Attached) -> list[str]:
    """Return the lines of a container: whose it is, its interface, its addresses."""
    at = one.attachment
    held = one.addresses or ["no address"]
    name = one.called[-1] if one.called else at.container_id[:_ID]
    return [name, *(f"{at.ifname} {address}" for address in held)]


def ports(one: Attached) -> list[str]:
    """Return what of the host leads to a container, in one line or none."""
    listed = dict.fromkeys(str(each) for each in one.published)
    return [", ".join(listed)] if listed else []


def lines(
    found: Sequence[Attached],
    masters: Mapping[str, Link | None],
    nodes: Sequence[Nodes] = (),
) -> Iterator[str]:
    """Yield the picture; below what is attached come the other nodes of networks."""
    groups = grouped(found)
    sizes = [_size(group) for group in groups]
    shared = [_size_of_nodes(each) for each in nodes]
    width = max([size.width for size in sizes + shared], default=300.0) + 2 * _GAP
    height = sum(size.height + _GAP for size in sizes + shared) + _GAP
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
    )
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" width="{width:g}" height="{height:g}"/>'
    if not groups:
        yield _text(_GAP, 2 * _GAP, "no attachment is on record")
    top = float(_GAP)
    for group, size in zip(groups, sizes, strict=True):
        yield from _group(group, masters, top, Size(width - 2 * _GAP, size.height))
        top += size.height + _GAP
    for each, size in zip(nodes, shared, strict=True):
        yield from _nodes(each, top, Size(width - 2 * _GAP, size.height))
        top += size.height + _GAP
    yield "</svg>"


def _card_of_nodes(nodes: Nodes) -> Size:
    rows = max(map(len, nodes.cards))
    return Size(_LETTERS * _LETTER + 2 * _PADDING, rows * _LINE + 2 * _PADDING - 4)


def _size_of_nodes(nodes: Nodes) -> Size:
    """Return the size of the frame around the other nodes of a network."""
    one, columns = _card_of_nodes(nodes), min(len(nodes.cards), _NODE_COLUMNS)
    rows = math.ceil(len(nodes.cards) / columns)
    width = columns * (one.width + _GAP) + _GAP
    return Size(max(width, 420.0), rows * (one.height + _GAP) + _GAP + 2 * _LINE)


def _nodes(nodes: Nodes, top: float, size: Size) -> Iterator[str]:
    one, left = _card_of_nodes(nodes), float(_GAP)
    yield _box("network", left, top, size, rounded=6)
    yield _text(left + _GAP, top + 1.6 * _LINE, nodes.title(), "title")
    for index, told in enumerate(nodes.cards):
        row, column = divmod(index, _NODE_COLUMNS)
        x = left + _GAP + column * (one.width + _GAP)
        y = top + 2.2 * _LINE + row * (one.height + _GAP)
        yield _box("card", x, y, one, rounded=4)
        for number, text in enumerate(told, 1):
            style = "name" if number == 1 else ""
            cut = _cut(text, _LETTERS)
            yield _text(x + _PADDING, y + number * _LINE + 3, cut, style)


def _columns(group: Group) -> int:
    """Return how many columns make a group a little wider than high."""
    number = len(group.members)
    ratio = _card(group).width / _card(group).height
    wanted = math.ceil(math.sqrt(1.4 * number / ratio))
    return max(1, min(wanted, number, _MOST_COLUMNS))


def _card(group: Group) -> Size:
    """Return the size of all cards of a group."""
    rows = max(len(card(one)) + len(ports(one)) + 1 for one in group.members)
    return Size(_LETTERS * _LETTER + 2 * _PADDING, rows * _LINE + 2 * _PADDING - 4)


def _size(group: Group) -> Size:
    """Return the size of a network's frame."""
    columns = _columns(group)
    rows = math.ceil(len(group.members) / columns)
    one = _card(group)
    width = columns * (one.width + _STUB + _GAP) + _GAP
    height = rows * (one.height + _GAP) + _GAP + 4 * _LINE
    return Size(max(width, 420.0), height)


def _group(
    group: Group, masters: Mapping[str, Link | None], top: float, size: Size
) -> Iterator[str]:
    left, columns, one = float(_GAP), _columns(group), _card(group)
    yield _box("network", left, top, size, rounded=6)
    title = f"{group.network}: {len(group.members)} attached"
    yield _text(left + _GAP, top + 1.6 * _LINE, title, "title")
    bar = top + 2.2 * _LINE
    yield _box("link", left + _GAP, bar, Size(size.width - 2 * _GAP, 1.8 * _LINE))
    told = "   ".join(group.heading(masters))
    room = int((size.width - 4 * _GAP) / _LETTER)
    yield _text(left + 2 * _GAP, bar + 1.2 * _LINE, _cut(told, room), "link-text")
    first = bar + 1.8 * _LINE + _GAP
    for index in range(columns):
        members = group.members[index::columns]
        x = left + _GAP + index * (one.width + _STUB + _GAP) + 6
        last = first + (len(members) - 1) * (one.height + _GAP) + 1.2 * _LINE
        yield f'<path class="wire" d="M{x:g} {bar + 1.8 * _LINE:g}V{last:g}"/>'
        for row, member in enumerate(members):
            y = first + row * (one.height + _GAP)
            wire = y + 1.2 * _LINE
            yield f'<path class="wire" d="M{x:g} {wire:g}H{x + _STUB:g}"/>'
            yield from _member(member, x + _STUB, y, one)


def _member(one: Attached, left: float, top: float, size: Size) -> Iterator[str]:
    kind = "card" + (" fault" if one.faults else "") + ("" if one.lives else " gone")
    yield "<g>"
    yield f"<title>{escape(_whole(one))}</title>"
    yield _box(kind, left, top, size, rounded=4)
    name, *held = card(one)
    told = [("name", _shortened(name)), *(("", each) for each in held)]
    told.append(("", one.port or one.kind))
    told += [("port", f"⇐ {each}") for each in _short_ports(one)]
    if one.faults:
        told[len(held) + 1] = ("bad", one.faults[0])
    for number, (style, text) in enumerate(told, 1):
        baseline = top + number * _LINE + 3
        yield _text(left + _PADDING, baseline, _cut(text, _LETTERS), style)
    yield "</g>"


def _whole(one: Attached) -> str:
    """Return all that the picture has no room for."""
    told = [one.title, *one.addresses, f"MAC {one.mac}", one.port, *one.names]
    return "\n".join(filter(None, [*told, *ports(one), *one.limits, *one.faults]))


def _box(kind: str, left: float, top: float, size: Size, rounded: int = 3) -> str:
    return (
        f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="{size.width:g}" '
        f'height="{size.height:g}" rx="{rounded}"/>'
    )


def _text(left: float, baseline: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{left:g}" y="{baseline:g}">{escape(text)}</text>'


def _short_ports(one: Attached) -> list[str]:
    """Return the ports as `ports` does; of many, those of the host alone."""
    whole = ports(one)
    if not whole or len(whole[0]) + 2 <= _LETTERS:
        return whole
    here = dict.fromkeys(f"{each.protocol} {each.port}" for each in one.published)
    return [", ".join(here)]


def _shortened(name: str) -> str:
    """Return a name without its middle if it is too long: pods differ at the end."""
    if len(name) <= _LETTERS:
        return name
    half = (_LETTERS - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
