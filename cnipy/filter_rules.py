# SPDX-License-Identifier: Apache-2.0
"""An attachment's rules in the filter table of iptables, where firewall has them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.allowed import users
from cni_common.allowed.filter_table import FilterTable
from cni_common.allowed.iptables import ADMITTED
from cni_common.attachment import record
from cni_common.parts.allowed import Allowed
from cnipy.ruleset import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnipy.tree import Attached

_PURPOSES = {
    "-s": "what {0} sends is forwarded",
    "-d": "what answers {0}, or comes by a port that is published for it, is forwarded",
}


def of(one: Attached) -> Iterator[Entry]:
    """Yield the rules that say in their comment whose they are.

    Raises Code.INTERNAL where iptables does not tell.
    """
    comment = naming.comment(one.attachment)
    found = record.read_parts(users.NAME, one.attachment)
    for part in found.parts if found else ():
        if isinstance(part, Allowed):
            for name in users.filters(one.attachment, part):
                for rule in FilterTable.open(name).rules(ADMITTED):
                    if comment in rule:
                        yield _entry(name, rule, comment)


def _entry(name: str, rule: Sequence[str], comment: str) -> Entry:
    chain, *words = rule
    pairs = list(pairwise(words))
    found = [(_PURPOSES[flag], value) for flag, value in pairs if flag in _PURPOSES]
    purpose = found[0][0].format(found[0][1].partition("/")[0]) if found else ""
    table = f"filter of iptables-{name[:-1]}, IPv{name[-1]}"
    return Entry(table, "chain", chain, " ".join(words), purpose, comment)
