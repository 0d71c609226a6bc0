# SPDX-License-Identifier: Apache-2.0
"""The chains that others have at the forward hook, and whether they drop by default.

An accept in one table does not override a drop in another (nft(8), "verdict"), so
what a base chain of somebody else drops, no table of ours lets through.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.spec.values import NamedTuple, dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_FAMILIES = frozenset({"ip", "ip6", "inet"})
_DEEPEST = 8  # chains; no firewall nests its defaults deeper
_OWN = "cnipy_"
# Container plugins' chains: they only let through, and have a rule for each container.
_OF_CONTAINERS = "CNI-"


@dataclass(frozen=True)
class ForwardChain:
    """A base chain at the forward hook and its policy, "accept" or "drop"."""

    family: str
    table: str
    name: str
    policy: str

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name}"


class Step(NamedTuple):
    """A rule as far as its fate goes: whom it meets, and what it does with them.

    verdict: accept, drop, return, jump, goto, or "" for what does not decide.
    """

    always: bool
    verdict: str
    target: str = ""


def forward_chains() -> list[ForwardChain]:
    """Return the base chains of others at the forward hook; elements are not read."""
    return [
        ForwardChain(c["family"], c["table"], c["name"], c.get("policy", "accept"))
        for c in (i["chain"] for i in nft.list_json("list chains") if "chain" in i)
        if c.get("hook") == "forward"
        and c["family"] in _FAMILIES
        and not c["table"].startswith(_OWN)
    ]


def drops(name: str, policy: str, read: Callable[[str], Iterable[Step]]) -> bool:
    """Tell whether what meets no particular rule of the base chain `name` is dropped.

    `read` returns the rules of a chain. Only rules without any match are followed.
    """
    return (_fate(name, read, _DEEPEST) or policy) == "drop"


def steps(family: str, table: str, chain: str) -> list[Step]:
    """Return the rules of a chain; none if it does not exist."""
    try:
        listed = nft.list_json(f"list chain {family} {table} {chain}")
    except nft.RefusedError as error:
        if error.is_missing:
            return []
        raise
    return [_step(item["rule"].get("expr", [])) for item in listed if "rule" in item]


def _fate(name: str, read: Callable[[str], Iterable[Step]], depth: int) -> str:
    """Return accept or drop, or "" when a packet comes back from the chain."""
    if depth == 0 or name.startswith(_OF_CONTAINERS):
        return ""
    for step in read(name):
        if not step.always:
            continue
        if step.verdict in {"accept", "drop"}:
            return step.verdict
        if step.verdict == "return":
            return ""
        if step.target:
            fate = _fate(step.target, read, depth - 1)
            if fate or step.verdict == "goto":
                return fate
    return ""


def _step(statements: list[dict[str, Any]]) -> Step:
    always = True
    for statement in statements:
        ((kind, value),) = statement.items()
        if kind in {"accept", "drop", "return"}:
            return Step(always, kind)
        if kind == "reject":
            return Step(always, "drop")
        if kind in {"jump", "goto"}:
            return Step(always, kind, value["target"])
        if kind == "xt" and value is not None:  # null if nft is built without it
            if value["type"] == "target":
                return Step(always, "drop" if value["name"] == "REJECT" else "")
            always = always and value["name"] == "comment"
        elif kind not in {"counter", "log"}:
            always = False
    return Step(always, "")
