# SPDX-License-Identifier: Apache-2.0
"""What the kernel lacks of a table of our own: base chains, rules, elements.

Apart from `own_table`, for DEL does not ask.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from cni_common.kernel import nft_questions
from cni_common.kernel.nft_questions import Rule
from cni_common.kernel.own_table import Lack

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cni_common.kernel.nft_questions import Questions
    from cni_common.kernel.nft_sets import Sets
    from cni_common.kernel.own_table import Block, Elements, OwnTable


def of_table(table: OwnTable, expected: Elements, *, thorough: bool) -> Iterator[Lack]:
    """Yield what is missing of the declaration and of `expected`.

    Raises Code.INTERNAL when the kernel does not tell.
    """
    blocks = list(table.blocks())
    with nft_questions.about(table.name) as ask:
        present = ask.rules()
        if not present and not ask.exists():
            yield Lack(f"table {table.name}")
            return
        if thorough:
            yield from _missing_bases(ask, blocks)
        yield from _missing_rules(present, blocks)
        yield from _missing_elements(ask.value, table, expected)


def of_elements(
    table: OwnTable, expected: Elements, sets: Sets | None = None
) -> Iterator[Lack]:
    """Yield what is missing of `expected`, if there is the table; raises as above.

    Who looks at many has `sets`.
    """
    if sets and not list(_missing_elements(sets.of(table.name), table, expected)):
        return
    with nft_questions.about(table.name) as ask:
        missing = list(_missing_elements(ask.value, table, expected))
        if missing and ask.exists():
            yield from missing


def _missing_bases(ask: Questions, blocks: Iterable[Block]) -> Iterator[Lack]:
    for kind, chain, lines in blocks:
        if kind == "chain" and lines and lines[0].startswith("type "):
            _, of_type, _, hook, _, number = lines[0].partition(";")[0].split()
            if ask.base(chain) != (of_type, hook, int(number)):
                where = f"{of_type}, {hook}, priority {number}"
                yield Lack(f"base chain {chain} ({where})")


def has_rules_alone(table: OwnTable) -> bool:
    """Tell whether the kernel has the declared rules and no others.

    Those of a chain that is declared empty are the administrator's.
    """
    blocks = list(table.blocks())
    free = {name for kind, name, lines in blocks if kind == "chain" and not lines}
    with nft_questions.about(table.name) as ask:
        present = [rule for rule in ask.rules() if rule.chain not in free]
    return Counter(present) == Counter(_declared(blocks))


def _declared(blocks: Iterable[Block]) -> list[Rule]:
    return [
        Rule(chain, _comment(line))
        for kind, chain, lines in blocks
        for line in lines
        if kind == "chain" and not line.startswith("type ")
    ]


def _missing_rules(present: list[Rule], blocks: Iterable[Block]) -> Iterator[Lack]:
    declared = _declared(blocks)
    absent = Counter(declared) - Counter(present)
    for chain in dict.fromkeys(rule.chain for rule in absent):
        there, wanted = (
            sum(one.chain == chain for one in every) for every in (present, declared)
        )
        yield Lack(f"rule in chain {chain}: {there} of {wanted} there")


def _comment(line: str) -> str:
    _, found, quoted = line.rpartition(' comment "')
    return quoted[:-1] if found else ""


def _missing_elements(
    value: Callable[[str, bytes], bytes | None], table: OwnTable, expected: Elements
) -> Iterator[Lack]:
    if not expected:
        return
    from cni_common.kernel.element_bytes import decoded, encoded  # noqa: PLC0415 - for elements alone

    types = _types(table)
    for (name, key), content in expected.items():
        keys, _, values = types.get(name, "").removeprefix("type ").partition(" : ")
        found = value(name, encoded(keys, key)) if keys else None
        if found is None:
            yield Lack(f"element {key} of {name}", content.comment)
        elif content.value and found != encoded(values, content.value):
            leads = f"it leads to {decoded(found)}, not to {content.value}"
            yield Lack(f"element {key} of {name}: {leads}", content.comment)


@cache
def _types(table: OwnTable) -> dict[str, str]:
    """Return the line that says of which type it is, by the name of a set or map.

    Asked for each of many attachments, when a node is looked at.
    """
    return {name: lines[0] for kind, name, lines in table.blocks() if kind != "chain"}
