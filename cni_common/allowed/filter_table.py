# SPDX-License-Identifier: Apache-2.0
"""The filter table of iptables, changed by its commands, for the backend iptables."""

from __future__ import annotations

from cni_common import iptables_command
from cni_common.iptables_command import Variant
from cni_common.kernel.forward_chains import Step
from cni_common.spec.characters import ALPHANUMERIC, consists_of
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_PLAIN = f"{ALPHANUMERIC}_!./:,-"
_WAIT = f"--wait={iptables_command.LOCK_SECONDS}"
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}
# Extensions of iptables that are targets, not chains, and decide nothing.
_PASSING = frozenset({"LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "CT"})


class FilterTable(NamedTuple):
    """The filter table of one variant and one version of IP, and its command."""

    variant: Variant
    version: int
    command: str

    @classmethod
    def find(cls, name: str) -> Self | None:
        """Return the table "nft4" or "legacy6", or None without its command."""
        variant, version = Variant(name[:-1]), int(name[-1])
        command = iptables_command.of_variant(variant, version)
        return cls(variant, version, command) if command else None

    @classmethod
    def open(cls, name: str) -> Self:
        """Return the table as `find` does; raises Code.INTERNAL without its command."""
        table = cls.find(name)
        if table is None:
            program = iptables_command.NAMES[int(name[-1])]
            msg = f"use backend iptables: {program} ({name[:-1]}) is not installed"
            raise CNIError(Code.INTERNAL, msg)
        return table

    def is_usable(self) -> bool:
        """Tell whether the kernel has the table."""
        return self._attempt("-S", "FORWARD", "1")[0] == 0

    def has(self, rule: Sequence[str]) -> bool:
        """Tell whether there is `rule`: a chain and what stands in it."""
        return self._succeeds("-C", *rule)

    def has_chain(self, chain: str) -> bool:
        """Tell whether there is a chain of that name."""
        return self._succeeds("-S", chain, "1")

    def add_chain(self, chain: str) -> None:
        """Ensure a chain of that name; another call may make it at the same moment."""
        if not self._succeeds("-N", chain) and not self.has_chain(chain):
            msg = f"add chain {chain}: {self.command} refuses"
            raise CNIError(Code.INTERNAL, msg)

    def insert(self, rule: Sequence[str], position: int = 1) -> None:
        """Insert `rule` at `position` of its chain."""
        chain, *rest = rule
        self._run("-I", chain, str(position), *rest)

    def delete(self, rule: Sequence[str]) -> None:
        """Make `rule` absent, however often it is there."""
        while self._succeeds("-D", *rule):
            pass

    def restore(self, lines: Sequence[str]) -> None:
        """Apply `lines` as a whole, or raise Code.INTERNAL and change nothing."""
        if lines:
            text = "\n".join(["*filter", *lines, "COMMIT", ""])
            command = [f"{self.command}-restore", "--noflush", _WAIT]
            iptables_command.run(command, text)

    def policy(self) -> str:
        """Return the policy of FORWARD, accept or drop."""
        return self._run("-S", "FORWARD").partition("\n")[0].rpartition(" ")[2].lower()

    def text(self) -> str:
        """Return all rules as `iptables -S` prints them."""
        return self._run("-S")

    def steps(self, chain: str) -> list[Step]:
        """Return the rules of a chain; none if it does not exist."""
        status, stdout, _ = self._attempt("-S", chain)
        lines = stdout.splitlines() if status == 0 else []
        return [step(line) for line in lines if line.startswith("-A ")]

    def rules(self, chain: str) -> list[tuple[str, ...]]:
        """Return the rules of a chain as `has` takes them; none without the chain."""
        import shlex  # noqa: PLC0415 - rare

        status, stdout, _ = self._attempt("-S", chain)
        lines = stdout.splitlines() if status == 0 else []
        return [tuple(shlex.split(x)[1:]) for x in lines if x.startswith("-A ")]

    def _run(self, *words: str) -> str:
        return iptables_command.run([self.command, _WAIT, *words])

    def _attempt(self, *words: str) -> tuple[int, str, str]:
        return iptables_command.attempt([self.command, _WAIT, *words])

    def _succeeds(self, *words: str) -> bool:
        """Tell success from absence; any other failure is raised."""
        status, _, stderr = self._attempt(*words)
        if status == 0 or status in iptables_command.ABSENT:
            return status == 0
        raise iptables_command.failure([self.command, *words], status, stderr)


def line(verb: str, rule: Sequence[str]) -> str:
    """Return what iptables-restore reads as `verb` (-A, -I, -D) of `rule`."""
    return " ".join([verb, *(_quoted(word) for word in rule)])


def step(text: str) -> Step:
    """Return a rule of `iptables -S` as far as its fate goes."""
    import shlex  # noqa: PLC0415 - only where rules of iptables-legacy are read

    words = shlex.split(text)[2:]  # without -A and the chain
    at = next((n for n, word in enumerate(words) if word in {"-j", "-g"}), None)
    if at is None:
        return Step(always=False, verdict="")
    match, target = words[:at], words[at + 1]
    always = not match or (len(match) == 4 and match[1] == match[2][2:] == "comment")  # noqa: PLR2004 - "-m comment --comment TEXT"
    if target in _VERDICTS:
        return Step(always, _VERDICTS[target])
    if target in _PASSING:
        return Step(always, "")
    return Step(always, "goto" if words[at] == "-g" else "jump", target)


def _quoted(word: str) -> str:
    return word if consists_of(word, _PLAIN) else f'"{word}"'
