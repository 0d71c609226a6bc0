# SPDX-License-Identifier: Apache-2.0
"""Changes of living containers that are killed anywhere: what is there then.

All that a host has is compared: links, disciplines, rules, files, processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import need
from netns.cnipy.helpers import Desk
from netns.cnipy.killing import killings
from netns.cnipy.living import RESULTS, attach, call
from netns.dnsname.helpers import Names
from world import World, difference, plain, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

LIST = (
    {
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
    },
    {"type": "portmap", "capabilities": {"portMappings": True}},
    {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    {"type": "dnsname", "domainName": "x", "capabilities": {"aliases": True}},
)
pytestmark = pytest.mark.slow
# What is so before, what is changed, and what changes it back; {} is the container.
Case = tuple[tuple[str, ...], str, str]
LIMITS = ("limit {} --ingress 10M --egress 10M",)
CASES: dict[str, Case] = {
    "publish": (("publish {} 8080:80",), "publish {} 9090:80", "unpublish {} 9090"),
    "publish-first": ((), "publish {} 9090:80", "unpublish {} 9090"),
    "unpublish": (
        ("publish {} 8080:80 9090:80",),
        "unpublish {} 9090",
        "publish {} 9090:80",
    ),
    "limit": (LIMITS, "limit {} --ingress 20M", "limit {} --ingress 10M"),
    "limit-sent": (LIMITS, "limit {} --egress 20M", "limit {} --egress 10M"),
    "limit-more": (
        ("limit {} --ingress 10M",),
        "limit {} --egress 10M",
        "limit {} --egress 0",
    ),
    "limit-none": (LIMITS, "limit {} --none", LIMITS[0]),
    "rename": (("rename {} old",), "rename {} db", "rename {} old"),
    "alias": (("rename {} old",), "alias {} db", "alias {} db --remove"),
}
DELETED = {name: CASES[name] for name in ("publish", "limit-sent", "rename")}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Iterator[Desk]:
    """An operator with a network whose containers can be changed in every way."""
    need("dnsmasq")
    desk = Desk(host, cni, tmp_path)
    desk.network("n", *LIST)
    yield desk
    Names(host, cni).close()


def have(desk: Desk, case: Case, space: Space) -> Path:
    """Have a container as the case has it; return its runtime's file."""
    file = attach(desk, "n", space)
    for words in case[0]:
        desk.ok(*words.format(space.name).split())
    return file


def apart(found: World) -> tuple[World, World]:
    """Return what there is without what the runtime has kept, and that."""
    kept = {path: found[path] for path in found if path.startswith(str(RESULTS))}
    return {path: found[path] for path in found if path not in kept}, kept


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_repair_and_repetition(desk: Desk, case: Case) -> None:
    """Repaired it is as before or as after it, and repeated it is as after it."""
    space = desk.host.space()
    have(desk, case, space)
    change, back = (words.format(space.name).split() for words in case[1:])
    desk.ok(*change)
    after = plain(world((), space))
    desk.ok(*back)
    before = plain(world((), space))
    tried = 0
    for where in killings(lambda: desk(*change)):
        tried += 1
        if tried % 2:
            desk.both("repair")
            worlds = before, after, plain(world((), space))
            for was, will, is_now in zip(*map(apart, worlds), strict=True):
                left = is_now != will and difference(was, is_now)
                assert not left, f"repaired after {where}: {left}"
        for words, wanted in ((change, after), (back, before)):
            desk.ok(*words)
            left = difference(wanted, plain(world((), space)))
            assert not left, f"{words} after {where}: {left}"
    assert tried > 8


@pytest.mark.parametrize("case", DELETED.values(), ids=DELETED)
def test_deletion(desk: Desk, case: Case) -> None:
    """DEL as the runtime calls it leaves nothing of what was killed."""
    space = desk.host.space()
    file = have(desk, case, space)
    call(desk, file, "DEL")
    file.unlink()
    settled = world((), space)
    have(desk, case, space)
    tried = 0
    for where in killings(lambda: desk(*case[1].format(space.name).split())):
        tried += 1
        call(desk, file, "DEL")
        file.unlink()
        left = difference(settled, world((), space))
        assert not left, f"deleted after {where}: {left}"
        have(desk, case, space)
    assert tried > 8
