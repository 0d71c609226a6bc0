# SPDX-License-Identifier: Apache-2.0
"""Attachments as a tree of text: networks, links of the host, containers on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.tree import NO_PARTS, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cni_common.kernel.link_answer import Link
    from cnipy.paper import Paper
    from cnipy.tree import Attached

_ALONE = "on no link of the host"


def lines(
    found: Sequence[Attached],
    files: Mapping[str, str],
    masters: Mapping[str, Link | None],
    paper: Paper,
) -> Iterator[str]:
    """Yield the tree of networks; `masters` are the links of the host in it."""
    if not found:
        yield "nothing is attached"
    for network in dict.fromkeys(each.attachment.network for each in found):
        of_network = [each for each in found if each.attachment.network == network]
        file = files.get(network, "no file has it")
        yield paper.tint(paper.cut(f"{network}, {file}"), "bold")
        names = list(dict.fromkeys(each.master for each in of_network))
        for name in names:
            last = name == names[-1]
            there = [each for each in of_network if each.master == name]
            told = _master(name, there, masters.get(name))
            yield paper.tint(paper.cut(f"{'└─' if last else '├─'} {told}"), "cyan")
            yield from _below(there, "   " if last else "│  ", paper)


def _master(name: str, there: Sequence[Attached], link: Link | None) -> str:
    if not name:
        return _ALONE
    if link is None:
        return f"{name}: there is no such link"
    gateways = dict.fromkeys(text for each in there for text in each.gateways)
    told = [f"{link.kind or 'device'} {name}", *gateways]
    told += [f"MAC {link.mac}", f"mtu {link.mtu}", "up" if link.is_up else "down"]
    number = f"{len(there)} attached"
    return f"{', '.join(told)}: {number}"


def _below(there: Sequence[Attached], indent: str, paper: Paper) -> Iterator[str]:
    for one in there:
        last = one is there[-1]
        yield paper.cut(f"{indent}{'└─' if last else '├─'} {title(one)}")
        inner = f"{indent}{'   ' if last else '│  '}   "
        for line in details(one):
            yield paper.cut(inner + line)
        for fault in one.faults:
            yield paper.tint(paper.cut(f"{inner}! {fault}"), "red")


def title(one: Attached) -> str:
    """Return both ends of the link, the addresses, and whose it is."""
    at = one.attachment
    here = f"{one.port} ↔" if one.port else one.kind
    held = f" {', '.join(one.addresses)}" if one.addresses else ""
    return f"{here} {at.ifname}{held}, {one.title}".lstrip()


def details(one: Attached) -> Iterator[str]:
    """Yield a line for each kind of thing that the attachment has."""
    first = [f"MAC {one.mac}"] if one.mac else []
    yield ", ".join([*first, one.attachment.netns or "no namespace"])
    if one.published:
        yield f"publishes {', '.join(dict.fromkeys(map(str, one.published)))}"
    if one.names:
        yield f"is found by {', '.join(one.names)}"
    if one.limits:
        yield ", ".join(one.limits)
    if one.rules:
        what = "rule or element" if one.rules == 1 else "rules and elements"
        yield f"{one.rules} {what} of its own"
    for told in one.plugins:
        if told.complete is None:
            yield f"{told.plugin}: {NO_PARTS}"


def sentences(found: Iterable[Attached]) -> Iterator[str]:
    """Yield attachments with a line for each part and each difference."""
    for one in found:
        at = one.attachment
        where = at.netns or "no namespace"
        yield f"{at.network} {at.container_id}/{at.ifname}, {where}"
        if not one.lives:
            yield f"  ! {one.faults[0]}"
        for told in one.plugins:
            if told.complete is None:
                yield f"  {told.plugin}: {NO_PARTS}"
                continue
            yield f"  {told.plugin}"
            if not told.complete:
                yield f"    ! {UNFINISHED}"
            yield from (f"    {part['sentence']}" for part in told.parts)
            yield from (f"    ! {each['text']}" for each in told.differences)
