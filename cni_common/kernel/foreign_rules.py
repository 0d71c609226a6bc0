# SPDX-License-Identifier: Apache-2.0
"""Rules in nftables that other programs wrote: what identifies them, their deletion.

Only the most specific thing is ever listed. libnftables reads every rule of every
table for `list tables`, but asks the kernel for one chain alone if one is named, and
a chain that does not exist costs a third of a millisecond.
"""

from __future__ import annotations

import time

from cni_common.kernel import nft
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


ATTEMPTS = 5
FIRST_PAUSE = 0.005
MANY = 100  # rules: more than parallel calls could remove between two looks


@dataclass(frozen=True)
class Rule:
    """A rule: where it stands, whom it names, where it hands packets on to."""

    chain: str
    target: str = ""
    comment: str = ""
    sources: frozenset[str] = frozenset()
    destinations: frozenset[str] = frozenset()
    locator: str = ""


def rules(family: str, table: str, chain: str = "") -> list[Rule] | None:
    """Return the rules of one chain or of the whole table; None if there is none.

    A rule's locator is its handle. Matches and targets of iptables' own (xt) do not
    hide the rest of a rule.
    """
    what = f"chain {family} {table} {chain}" if chain else f"table {family} {table}"
    try:
        listed = nft.list_json(f"list {what}")
    except nft.RefusedError as error:
        if error.is_missing:
            return None
        raise
    return [_rule(item["rule"]) for item in listed if "rule" in item]


def deletion(family: str, table: str, rule: Rule) -> str:
    """Return the command that deletes `rule`, by its handle."""
    return f"delete rule {family} {table} {rule.chain} handle {rule.locator}"


def settled(step: Callable[..., T], *args: Any) -> T:
    """Return what `step` returns; it looks and then acts, and is repeated if refused.

    Between the look and the act another program may have changed what was seen; the
    kernel then refuses the transaction as a whole. Raises the fifth refusal.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return step(*args)
        except CNIError:
            time.sleep(FIRST_PAUSE * 2**attempt)
    return step(*args)


def _rule(listed: dict[str, Any]) -> Rule:
    statements = listed.get("expr", [])
    hand_over = (s.get("jump") or s.get("goto") for s in statements)
    return Rule(
        chain=listed["chain"],
        target=next((verdict["target"] for verdict in hand_over if verdict), ""),
        comment=listed.get("comment") or _comment_of_xt(statements),
        sources=frozenset(_matched(statements, "saddr")),
        destinations=frozenset(_matched(statements, "daddr") + _dnat(statements)),
        locator=str(listed["handle"]),
    )


def _comment_of_xt(statements: list[dict[str, Any]]) -> str:
    """Return a text if iptables-nft put a comment; which one is not told."""
    found = [s["xt"] for s in statements if isinstance(s.get("xt"), dict)]
    return "comment" if any(xt.get("name") == "comment" for xt in found) else ""


def _matched(statements: list[dict[str, Any]], field: str) -> list[str]:
    matches = [s["match"] for s in statements if "match" in s]
    return [
        match["right"]
        for match in matches
        if isinstance(match["right"], str)
        and isinstance(match["left"], dict)
        and match["left"].get("payload", {}).get("field") == field
    ]


def _dnat(statements: list[dict[str, Any]]) -> list[str]:
    targets = [s["dnat"].get("addr") for s in statements if s.get("dnat")]
    return [address for address in targets if isinstance(address, str)]
