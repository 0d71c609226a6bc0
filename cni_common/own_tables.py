# SPDX-License-Identifier: Apache-2.0
"""The suite's own nftables tables: as they were declared, or made anew.

Anybody may flush a ruleset, a table or a chain. What is written down says what there
has to be; whoever relies on a table asks whether its rules are there, at a cost that
does not grow with its elements (docs/decisions/0024).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from cni_common.kernel import nft, rule_list
from cni_common.kernel.rule_list import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

_RULE = re.compile(
    r'^add rule (\w+ \w+) (\S+) .*?(?: comment "([^"]*)")?$', re.MULTILINE
)


def is_whole(table: str, declaration: str) -> bool:
    """Tell whether the kernel has each rule of `table` that `declaration` adds.

    A rule is known by its chain and its comment. Raises code 999 when the kernel
    does not tell.
    """
    declared = Counter(
        Rule(chain, comment)
        for place, chain, comment in _RULE.findall(declaration)
        if place == table
    )
    return not declared - Counter(rule_list.rules(table))


def change(
    transaction: str, declared: dict[str, str], rebuilt: Callable[[], str]
) -> None:
    """Apply `transaction`, or make tables anew with `rebuilt` where that is wrong.

    That is so where a table lacks a rule of what is `declared` for it, or where the
    kernel has other elements than `transaction` builds on. Raises code 999.
    """
    if all(is_whole(table, text) for table, text in declared.items()):
        try:
            if transaction:
                nft.run(transaction)
        except nft.RefusedError as refused:
            if not nft.nothing_done(refused):
                raise
        else:
            return
    nft.run(rebuilt())
