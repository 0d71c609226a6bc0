# SPDX-License-Identifier: Apache-2.0
"""The tables of iptables-legacy, which only its own commands can change."""

from __future__ import annotations

from cni_common.iptables_command import LOCK_SECONDS, installed, run
from cni_common.kernel.foreign_rules import Rule
from cni_common.spec.characters import Pattern

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    4: ("iptables-legacy", "iptables"),
    6: ("ip6tables-legacy", "ip6tables"),
}
_QUOTED = Pattern(r'"(\\.|[^"\\])*"')
_SOURCE = Pattern(r"(?<!! )-s ([^ /]+)")
_DESTINATION = Pattern(r"(?<!! )(?<!-)-d ([^ /]+)")
_COMMENT = "--comment "
_TARGET = Pattern(r" -[jg] (\S+)")


class LegacyTable:
    """A table of iptables-legacy for one version of IP, as it was when read.

    Without the commands it looks empty: no later DEL could do more.
    """

    def __init__(self, version: int, name: str) -> None:
        self.version = version
        self._name = name
        self._command = installed(COMMANDS[version])
        self._chains: dict[str, list[str]] = {}
        if self._command:
            saved = run([f"{self._command}-save", "-t", name])
            self._chains = _parsed(saved)

    def has(self, chain: str) -> bool:
        """Return whether there is a chain of that name."""
        return chain in self._chains

    def rules(self, chain: str) -> list[Rule]:
        """Return the rules of `chain`; none if there is no such chain."""
        return [_rule(text) for text in self._chains.get(chain, [])]

    def remove(self, doomed: Sequence[Rule], chains: Sequence[str]) -> None:
        """Delete the rules `doomed`, then `chains` with their content, as a whole.

        Raises CNIError, with nothing changed, if one of them is gone or a chain is
        still jumped to.
        """
        lines = [f"-D {rule.locator}" for rule in doomed]
        lines += [f"-F {chain}" for chain in chains]
        lines += [f"-X {chain}" for chain in chains]
        if lines:
            restore = [
                f"{self._command}-restore",
                "--noflush",
                f"--wait={LOCK_SECONDS}",
            ]
            run(restore, "\n".join([f"*{self._name}", *lines, "COMMIT", ""]))


def _parsed(saved: str) -> dict[str, list[str]]:
    chains: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith(":"):
            chains[line[1:].split()[0]] = []
        elif line.startswith("-A "):
            rule = line.removeprefix("-A ")
            chains[rule.split()[0]].append(rule)
    return chains


def _rule(text: str) -> Rule:
    """Return a rule of iptables-save; its text, unchanged, finds it again."""
    unquoted = _QUOTED.sub('""', text)
    target = _TARGET.search(unquoted)
    return Rule(
        chain=text.split(maxsplit=1)[0],
        target=target[1] if target else "",
        comment="comment" if _COMMENT in unquoted else "",
        sources=frozenset(_SOURCE.findall(unquoted)),
        destinations=frozenset(_DESTINATION.findall(unquoted)),
        locator=text,
    )
