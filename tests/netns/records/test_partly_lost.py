# SPDX-License-Identifier: Apache-2.0
"""Some of what lies below /run/cni/cnipy is lost while containers run."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import chains
import pytest
from chains import ALONE, Container
from lab import run
from world import difference, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host

STATE = "/run/cni/cnipy"
# What a parameter was before, and how a device was on the host, the record alone tells.
NOWHERE_ELSE = re.compile(r"/proc/sys/net/core/somaxconn|ens1.ifalias|^- UP$")
PARAMETERS = ("/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/ip_forward")


def written() -> Iterator[str]:
    """Yield every file and directory that plugins have written, but for locks."""
    for directory, inside, names in os.walk(STATE):
        inside[:] = sorted(set(inside) - {"locks", "host-local"})
        yield from (os.path.join(directory, name) for name in (*inside, *names))


def lose(path: str) -> None:
    """Remove a file, or a directory with all that is in it."""
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def clear() -> None:
    """Leave nothing that one loss has left to the next."""
    shutil.rmtree(STATE, ignore_errors=True)
    run("nft", "flush", "ruleset")


@pytest.fixture
def one(host: Host, cni: Cni) -> Iterator[Container]:
    """A container that is not attached yet."""
    chains.prepare(host)
    yield Container(cni, host.space(), 1)
    clear()


def attach(one: Container, plugins: tuple[str, ...]) -> None:
    """Attach by plugins that may leave out some of the chain."""
    for plugin in plugins:
        before = one.before(plugin)
        if before and before not in one.results:
            one.results[before] = one.results[plugins[0]]
        one.add(plugin)


@pytest.mark.parametrize(
    "plugins",
    [("bridge", "tuning", "bandwidth"), *((each,) for each in ALONE)],
    ids="-".join,
)
def test_delete_leaves_nothing_whatever_was_lost(
    one: Container, plugins: tuple[str, ...]
) -> None:
    """DEL finds by the kernel what no file tells any more."""
    attach(one, plugins)
    one.delete(*plugins)  # a bridge, and forwarding, stay
    before = world(PARAMETERS, one.space)
    attach(one, plugins)
    findings, number = [], 0
    while number < len(paths := sorted(written())):
        path = paths[number]
        number += 1
        lose(path)
        one.delete(*plugins)
        left = difference(before, world(PARAMETERS, one.space)).splitlines()
        if left:
            findings += [
                f"{path}: {line}" for line in left if not NOWHERE_ELSE.search(line)
            ]
            clear()
        attach(one, plugins)
    assert number > 2
    assert not findings, "\n".join(findings)
