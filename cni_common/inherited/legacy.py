# SPDX-License-Identifier: Apache-2.0
"""The nat tables of iptables-legacy, which only its own commands can change."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cni_common.kernel.foreign_rules import Rule
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fixed, so that neither a runtime's missing PATH nor a strange one decides.
DIRECTORIES = (
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/run/current-system/sw/bin",
)
COMMANDS = {
    4: ("iptables-legacy", "iptables"),
    6: ("ip6tables-legacy", "ip6tables"),
}
LOCK_SECONDS = 10
_QUOTED = re.compile(r'"(\\.|[^"\\])*"')
_SOURCE = re.compile(r"(?<!! )-s ([^ /]+)")
_TARGET = re.compile(r" -[jg] (\S+)")


class LegacyNat:
    """The nat table of iptables-legacy for one version of IP, as it was when read.

    Without the commands it looks empty: no later DEL could do more.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self._command = _installed(COMMANDS[version])
        self._chains: dict[str, list[str]] = {}
        if self._command:
            saved = _run([f"{self._command}-save", "-t", "nat"], "")
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
            _run(restore, "\n".join(["*nat", *lines, "COMMIT", ""]))


def _installed(names: Sequence[str]) -> str:
    for name in names:
        for directory in DIRECTORIES:
            path = os.path.join(directory, name)
            if os.access(f"{path}-save", os.X_OK):
                return path
    return ""


def _run(command: list[str], stdin: str) -> str:
    from cni_common.execute import execute  # noqa: PLC0415 - most DELs start nothing

    env = {"PATH": ":".join(DIRECTORIES), "LC_ALL": "C"}
    status, stdout, stderr = execute(command, stdin.encode("utf-8", "replace"), env)
    if status != 0:
        cause = stderr.decode("utf-8", "replace").strip()
        msg = f"run {os.path.basename(command[0])}: {cause or f'status {status}'}"
        raise CNIError(Code.INTERNAL, msg, stdin)
    return stdout.decode("utf-8", "replace")


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
        sources=frozenset(_SOURCE.findall(unquoted)),
        locator=text,
    )
