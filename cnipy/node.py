# SPDX-License-Identifier: Apache-2.0
"""`cnipy status` without a network: what the node has of plugins, servers, networks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cnipy import network as networks
from cnipy.packed import build_of
from cnipy.verb import Answer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cnipy.paper import Paper
    from cnipy.suite import Keeper, Suite, Warm


class Status(Answer):
    """Plugin directories with the names by build, warm server, keepers, networks.

    `files` are those with a network, `faults` say why others have none.
    """

    def __init__(self, path: Sequence[str], directory: str, suite: Suite) -> None:
        self.names = suite.names
        self.plugins = {each: builds(each, suite.names) for each in path}
        found = [build for of_build in self.plugins.values() for build in of_build]
        self.build = next(filter(None, found), "")
        self.warm = suite.warm(self.build)
        self.keepers = suite.keepers()
        self.directory = directory
        self.files = networks.listed(directory)
        self.faults = networks.faults(directory)

    def lines(self, paper: Paper) -> Iterable[str]:
        """Yield a line for each thing."""
        del paper
        for directory, of_build in self.plugins.items():
            for build, names in of_build.items():
                what = f"build {build}" if build else "not of this suite"
                yield f"{directory}: {what}: {' '.join(names)}"
            if not of_build:
                yield f"{directory}: none of {' '.join(sorted(self.names))}"
        yield in_words(self.warm, self.build)
        yield from map(kept_in_words, self.keepers)
        yield from self._networks()

    def _networks(self) -> Iterator[str]:
        first: dict[str, str] = {}
        for name, file in self.files:
            taken = first.setdefault(name, file)
            note = "" if taken == file else f" (not taken: {taken} has the name)"
            yield f"network {name}: {file}{note}"
        for fault in self.faults:
            yield f"no network: {fault}"
        if not first:
            yield f"no network in {self.directory}"

    def document(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "plugins": [
                {"directory": directory, "build": build, "names": names}
                for directory, of_build in self.plugins.items()
                for build, names in of_build.items()
            ],
            "warm": {
                "socket": self.warm.socket,
                "listening": self.warm.listening,
                "serves": self.warm.serves,
                "builds": list(self.warm.builds),
            },
            "keepers": [
                {
                    "socket": each.socket,
                    "listening": not each.fault,
                    "leases": dict(each.leases),
                    "nextRenewal": each.renewal,
                }
                for each in self.keepers
            ],
            "networks": [{"name": name, "file": file} for name, file in self.files],
            "faults": self.faults,
        }


def builds(directory: str, names: Collection[str]) -> dict[str, list[str]]:
    """Return which of `names` a directory has, by build; those of others by ""."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        full = os.path.join(directory, name)
        if os.path.lexists(full):
            found.setdefault(build_of(full), []).append(name)
    return found


def in_words(found: Warm, build: str) -> str:
    """Return what a call of `build` has of the warm server."""
    if not found.listening:
        return f"warm server: nobody listens at {found.socket}, calls start cold"
    if found.serves:
        return f"warm server: serves build {build}"
    if found.builds and build not in found.builds:
        others = " ".join(found.builds)
        return f"warm server: serves build {others} only, calls start cold; restart it"
    hint = "docs/warm.md says whom it serves"
    return f"warm server: takes no call at {found.socket}, calls start cold; {hint}"


def kept_in_words(found: Keeper) -> str:
    """Return whether a keeper of leases answers, and how its leases are."""
    where = found.fault or f"listens at {found.socket}"
    states = ", ".join(f"{count} {state}" for state, count in found.leases.items())
    leases = f"leases: {states}" if states else "no leases"
    if found.renewal is not None:
        leases += f"; next renewal in {found.renewal:.0f} s"
    return f"keeper of leases: {where}, {leases}"
