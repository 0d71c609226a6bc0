# SPDX-License-Identifier: Apache-2.0
"""`cnipy status` without a network: what the node has of plugins, server, networks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnipy import network as networks
from cnipy.packed import build_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cnipy.suite import Suite, Warm


def status(path: Sequence[str], directory: str, suite: Suite) -> str:
    """Return lines about the plugin directories, the warm server and the networks."""
    builds: set[str] = set()
    lines: list[str] = []
    for searched in path:
        lines += _plugins(searched, suite.names, builds)
    build = next(iter(builds), "")
    lines.append(_warm(suite.warm(build), build))
    lines += _networks(directory)
    return "".join(f"{line}\n" for line in lines)


def _plugins(directory: str, names: Collection[str], builds: set[str]) -> Iterator[str]:
    of_build: dict[str, list[str]] = {}
    for name in sorted(names):
        full = os.path.join(directory, name)
        if os.path.lexists(full):
            of_build.setdefault(build_of(full), []).append(name)
    for build, found in of_build.items():
        what = f"build {build}" if build else "not of this suite"
        yield f"{directory}: {what}: {' '.join(found)}"
    if not of_build:
        yield f"{directory}: none of {' '.join(sorted(names))}"
    builds |= set(of_build) - {""}


def _warm(found: Warm, build: str) -> str:
    if not found.listening:
        return f"warm server: nobody listens at {found.socket}, calls start cold"
    if found.serves:
        return f"warm server: serves build {build}"
    if found.builds and build not in found.builds:
        others = " ".join(found.builds)
        return f"warm server: serves build {others} only, calls start cold; restart it"
    return f"warm server: takes no call at {found.socket}, calls start cold"


def _networks(directory: str) -> Iterator[str]:
    first: dict[str, str] = {}
    for name, file in networks.listed(directory):
        taken = first.setdefault(name, file)
        note = "" if taken == file else f" (not taken: {taken} has the name)"
        yield f"network {name}: {file}{note}"
    for fault in networks.faults(directory):
        yield f"no network: {fault}"
    if not first:
        yield f"no network in {directory}"
