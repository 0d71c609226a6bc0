# SPDX-License-Identifier: Apache-2.0
"""Chains at every hook, by which one flow is followed: tables `cnipy_why_<pid>`.

The first chain of a hook has the flow traced, the last one tells that it came through.
The tables belong to the socket that made them (NFT_TABLE_F_OWNER, Linux 5.12), so that
the kernel removes them however the process ends. Where it cannot, they are deleted at
the end, and those of a process that was killed by the next that makes some.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common.kernel import nft

if TYPE_CHECKING:
    from typing import Self

    from cni_common.spec.fields import IPAddress

PREFIX = "cnipy_why_"
FIRST, LAST = "first", "last"
_HOOKS = {
    "inet": ("prerouting", "input", "forward", "output", "postrouting"),
    "bridge": ("prerouting", "input", "forward", "output", "postrouting"),
}
# Before raw (-300) and connection tracking, and behind all that has a name.
_PRIORITIES = {FIRST: -500, LAST: 500}
_SETTERS = ("prerouting", "output")


class Stations:
    """Stations of the calling thread's namespace, for the flow that `matches` tell.

    Those are matches in nft's language, each enough; `bridged` ones are for frames on
    bridges alone. Raises Code.INTERNAL.
    """

    def __init__(self, matches: tuple[str, ...], bridged: tuple[str, ...] = ()) -> None:
        self._context: Any = nft.opened()
        self._context.set_handle_output(True)
        self._context.set_stateless_output(True)
        self.name = f"{PREFIX}{os.getpid()}"
        self._listed: dict[str, dict[str, str]] = {}
        self._remove_leftovers()
        told = {"inet": matches, "bridge": matches + bridged}
        try:
            self._make(told, "flags owner;")
        except nft.RefusedError as error:
            if not error.is_certain:
                raise
            self._make(told, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the tables."""
        for family in _HOOKS:
            with suppress(nft.RefusedError):
                nft.command(self._context, f"delete table {family} {self.name}")
        self._context = None

    def rule(self, family: str, table: str, chain: str, handle: int) -> str:
        """Return a rule as nft prints it, or nothing when it is gone.

        A chain is listed once.
        """
        at = f"{family} {table} {chain}"
        if at not in self._listed:
            self._listed[at] = {}
            with suppress(nft.RefusedError):
                for line in nft.command(self._context, f"list chain {at}").splitlines():
                    text, _, number = line.rpartition(" # handle ")
                    self._listed[at][number] = text.strip()
        return self._listed[at].get(str(handle), "")

    def _make(self, matches: dict[str, tuple[str, ...]], flags: str) -> None:
        nft.command(self._context, "\n".join(self._tables(matches, flags)))

    def _tables(self, matches: dict[str, tuple[str, ...]], flags: str) -> list[str]:
        text = []
        for family, hooks in _HOOKS.items():
            text.append(f"table {family} {self.name} {{ {flags}")
            for hook in hooks:
                for which, priority in _PRIORITIES.items():
                    head = (
                        f"type filter hook {hook} priority {priority}; policy accept;"
                    )
                    rules = ""
                    if which == FIRST and hook in _SETTERS:
                        traced = (
                            f"{each} meta nftrace set 1" for each in matches[family]
                        )
                        rules = "\n".join(traced) + "\n"
                    text.append(f"chain {hook}_{which} {{ {head}\n{rules}}}")
            text.append("}")
        return text

    def _remove_leftovers(self) -> None:
        """Remove tables of processes that have ended without doing so."""
        for line in nft.command(self._context, "list tables").splitlines():
            _, family, name = line.split()[:3]
            number = name.removeprefix(PREFIX)
            if number == name or not number.isdecimal() or _lives(int(number)):
                continue
            with suppress(nft.RefusedError):
                nft.command(self._context, f"delete table {family} {name}")


def _lives(process: int) -> bool:
    return process != os.getpid() and os.path.exists(f"/proc/{process}")


def matches(protocol: str, number: int) -> tuple[str, ...]:
    """Return the matches of a flow, both ways: by its port, or by an echo's identifier.

    protocol is tcp, udp or icmp, which stands for both versions.
    """
    if protocol == "icmp":
        echo = "type {{ echo-request, echo-reply }}"
        return tuple(
            f"{family} {echo} {family} id {number}".replace("{{", "{").replace(
                "}}", "}"
            )
            for family in ("icmp", "icmpv6")
        )
    return tuple(
        f"meta l4proto {protocol} th {end} {number}" for end in ("sport", "dport")
    )


def question(source: IPAddress, hop: IPAddress) -> str:
    """Return the match of a frame by which `source` asks who has `hop`."""
    if hop.version == 4:  # noqa: PLR2004 - the family's number
        return f"arp operation request arp saddr ip {source} arp daddr ip {hop}"
    return f"ip6 saddr {source} icmpv6 type nd-neighbor-solicit"
