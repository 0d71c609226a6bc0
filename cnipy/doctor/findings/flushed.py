# SPDX-License-Identifier: Apache-2.0
"""Rules, and other things that attachments consist of, that somebody took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.doctor.examination import names
from cnipy.doctor.finding import Finding
from cnipy.doctor.findings import dropped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination, Lack

_ELSEWHERE = frozenset({"forwarded", "name_server", "names"})


def find(node: Examination) -> Iterator[Finding]:
    """Yield networks whose living attachments lack rules."""
    lacks = [each for each in node.lacks if each.part.in_rules]
    what = "what the rules were for is gone: masquerading, ports, who is kept apart"
    yield from _gathered(
        "rules-flushed", what, [x for x in lacks if not dropped.is_told(x)]
    )


def find_others(node: Examination) -> Iterator[Finding]:
    """Yield networks whose living attachments lack what no other finding is about."""
    lacks = [
        each
        for each in node.lacks
        if not each.part.in_rules and each.part.kind() not in _ELSEWHERE
    ]
    yield from _gathered("changed", "what ADD made is not as it was", lacks)


def _gathered(name: str, what: str, lacks: list[Lack]) -> Iterator[Finding]:
    of_network: dict[str, list[Lack]] = {}
    for lack in lacks:
        of_network.setdefault(lack.held.network, []).append(lack)
    for network, found in of_network.items():
        texts = list(dict.fromkeys(lack.text for lack in found))
        cause = texts[0] + (f"; {len(texts) - 1} more" if texts[1:] else "")
        who = names(lack.held for lack in found)
        yield Finding(name, f"{what} ({who})", cause, ("cnipy repair",), network)
