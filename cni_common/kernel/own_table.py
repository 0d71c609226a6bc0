# SPDX-License-Identifier: Apache-2.0
"""An nftables table of our own: its declaration, and the elements in it.

The declaration is what `nft list table` prints, elements apart. Rules are known by
their chain and their comment, elements by their keys; so whether all is there is asked
at a cost that does not grow with the elements of others (docs/decisions/0047).
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cni_common.kernel.nft_sets import Sets

    Block = tuple[str, str, list[str]]  # kind, name, and lines


class ElementKey(NamedTuple):
    """An element: the map or set that has it, and its key in nft's words."""

    name: str
    key: str


class Content(NamedTuple):
    """What an element has: value in nft's words, "" in a set; and whose it is."""

    value: str = ""
    comment: str = ""


class Lack(NamedTuple):
    """What the kernel lacks of a table; of an element, whose it is."""

    text: str
    owner: str = ""


Elements = dict[ElementKey, Content]


class OwnTable(NamedTuple):
    """A table as it is declared.

    A chain that is declared empty is the administrator's: what is in it stays.
    """

    declaration: str

    @property
    def name(self) -> str:
        """The table's family and name."""
        return self.declaration.partition(" {")[0].removeprefix("table ")

    def rebuilt(self, elements: Mapping[ElementKey, Content]) -> str:
        """Return the transaction that makes the table anew, with these elements."""
        return self._cleared() + self.declaration + self.addition(elements)

    def removal_of_parts(self) -> str:
        """Return the commands that remove what is declared here from its table."""
        blocks = list(self.blocks())
        chains = [name for kind, name, _ in blocks if kind == "chain"]
        verbs = [f"flush chain {self.name} {chain}\n" for chain in chains]
        verbs += [f"delete chain {self.name} {chain}\n" for chain in chains]
        verbs += [f"delete {k} {self.name} {n}\n" for k, n, _ in blocks if k != "chain"]
        return "".join(verbs)

    def addition(self, elements: Mapping[ElementKey, Content]) -> str:
        """Return the commands that add elements, one for each map or set."""
        return self._statements("add", elements)

    def change(self, before: Elements, after: Elements) -> str:
        """Return the transaction from `before` to `after`; "" when they are equal.

        A deletion adds first what it deletes, which makes it one that absence does not
        fail; the addition is refused where the kernel has another value.
        """
        gone = {key: was for key, was in before.items() if after.get(key) != was}
        new = {key: to for key, to in after.items() if before.get(key) != to}
        bare = dict.fromkeys(gone, Content())
        deletion = self._statements("delete", bare)
        return self.addition(gone) + deletion + self.addition(new)

    def missing(self, expected: Elements, *, thorough: bool = False) -> str:
        """Return what the kernel lacks of the declaration and of `expected`, or "".

        Only `thorough`, which is for CHECK, looks where the chains are called. Raises
        Code.INTERNAL when the kernel does not tell.
        """
        found = self.lacking(expected, thorough=thorough)
        return next((lack.text for lack in found), "")

    def lacking(self, expected: Elements, *, thorough: bool = True) -> Iterator[Lack]:
        """Yield all that the kernel lacks, as `missing` does the first of it."""
        from cni_common.kernel import table_lacks  # noqa: PLC0415 - not for DEL

        yield from table_lacks.of_table(self, expected, thorough=thorough)

    def blocks(self) -> Iterator[Block]:
        """Yield kind, name and lines of each chain, set and map."""
        kind, name, lines = "", "", []
        for line in self.declaration.splitlines():
            if line.startswith("\t\t"):
                lines.append(line.strip())
            elif line == "\t}":
                yield kind, name, lines
            elif line.startswith("\t"):
                kind, name, _ = line.split()
                lines = []

    def lacking_elements(
        self, expected: Elements, sets: Sets | None = None
    ) -> Iterator[Lack]:
        """Yield what the kernel lacks of `expected`, if it has the table at all.

        Who looks at many has `sets`, which are not asked for each.
        """
        from cni_common.kernel import table_lacks  # noqa: PLC0415 - not for DEL

        yield from table_lacks.of_elements(self, expected, sets)

    def _cleared(self) -> str:
        """Return the commands after which nothing of ours is in the table."""
        blocks = list(self.blocks())
        if all(lines for _, _, lines in blocks):
            return removal(self.name)
        # Before they can be flushed they have to be there.
        flushed = (f"flush {k} {self.name} {n}\n" for k, n, lines in blocks if lines)
        return self.declaration + "".join(flushed)

    def _statements(self, verb: str, elements: Mapping[ElementKey, Content]) -> str:
        by_name: dict[str, list[str]] = {}
        for (name, key), (value, comment) in elements.items():
            said = f" comment {nft.quote(comment)}" if comment else ""
            led = f" : {value}" if value else ""
            by_name.setdefault(name, []).append(f"{key}{said}{led}")
        return "".join(
            f"{verb} element {self.name} {name} {{ {', '.join(written)} }}\n"
            for name, written in by_name.items()
        )


def removal(table: str) -> str:
    """Return the transaction after which `table` is absent, whether it was there."""
    return f"add table {table}\ndelete table {table}\n"
