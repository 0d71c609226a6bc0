# SPDX-License-Identifier: Apache-2.0
"""dnsname: a network whose names Podman's own plugin served until now."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from lab import need, run
from netns.dnsname.helpers import (
    AAAA,
    GATEWAY,
    NXDOMAIN,
    Names,
    Reply,
    ask,
    left,
    pids,
    wait_for,
)

from cni_common import state
from cni_common.reference import dnsname

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host
    from netns.dnsname.helpers import Attached

OLD = f"{dnsname.ROOT}/net"
# What Podman's plugin writes for a network.
CONFIGURATION = f"""\
strict-order
local=/dns.podman/
domain=dns.podman
expand-hosts
pid-file={OLD}/pidfile
except-interface=lo
bind-dynamic
no-hosts
interface=br0
addn-hosts={OLD}/addnhosts
"""


@pytest.fixture
def node(host: Host, cni: Cni) -> Iterator[Names]:
    """A node whose containers get names."""
    need("dnsmasq")
    names = Names(host, cni)
    yield names
    for number in old_pids():
        run("kill", "-9", str(number))
    names.close()
    shutil.rmtree(dnsname.ROOT, ignore_errors=True)


def attached_before(node: Names, *called: str) -> list[Attached]:
    """Attach containers whose names Podman's plugin serves."""
    those = [node.plan(f"o{called}", called) for called in called]
    os.makedirs(OLD)
    with open(f"{OLD}/dnsmasq.conf", "w") as file:
        file.write(CONFIGURATION)
    with open(f"{OLD}/addnhosts", "w") as file:
        for it, name in zip(those, called, strict=True):
            file.write(f"{it.address}\t{name} {name}-alias\n")
            file.write(f"{it.address6}\t{name} {name}-alias\n")
    dnsmasq = need("dnsmasq")
    run(dnsmasq, "-u", "root", f"--conf-file={OLD}/dnsmasq.conf")
    assert ask(called[0]) == Reply(0, [those[0].address])
    return those


def old_pids() -> list[int]:
    """Return the dnsmasq of Podman's plugin."""
    try:
        with open(f"{OLD}/pidfile") as file:
            number = int(file.read())
        with open(f"/proc/{number}/cmdline") as file:
            return [number] if OLD in file.read() else []
    except (OSError, ValueError):
        return []


def test_add_takes_the_names_over(node: Names) -> None:
    """A new container and those of Podman's plugin find each other, by one server."""
    one, two = attached_before(node, "one", "two")
    new = node.attach("c1", "new")
    assert old_pids() == []
    assert not os.path.exists(OLD)
    for name in ("one", "one-alias", "one.dns.podman"):
        assert new.ask(name) == Reply(0, [one.address])
    assert one.ask("new") == Reply(0, [new.address])
    node.call("DEL", one)
    assert new.ask("one-alias") == Reply(NXDOMAIN, [])
    assert new.ask("two", AAAA) == Reply(0, [two.address6])
    node.call("DEL", new)
    assert ask("two", at=GATEWAY) == Reply(0, [two.address])
    node.call("DEL", two)
    assert (pids(), left()) == ([], [f"{state.ROOT}/dnsname"])


@pytest.mark.parametrize("missing", ("nothing", "prevResult"))
def test_delete_without_a_takeover(node: Names, missing: str) -> None:
    """DEL takes lines from the old list, and the old dnsmasq along with the last."""
    one, two = attached_before(node, "one", "two")
    for it in (one, two):
        it.conf.pop(missing, None)
    node.call("DEL", one)
    wait_for(lambda: ask("one.dns.podman") == Reply(NXDOMAIN, []))
    assert ask("two-alias") == Reply(0, [two.address])
    node.call("DEL", two)
    assert old_pids() == []
    assert not os.path.exists(OLD)


def test_number_of_another_process_is_not_believed(node: Names) -> None:
    """An old pid file that names a stranger costs the stranger nothing."""
    (one,) = attached_before(node, "one")
    (number,) = old_pids()
    with open(f"{OLD}/pidfile", "w") as file:
        file.write(f"{os.getpid()}\n")
    node.call("DEL", one)
    run("kill", "-9", str(number))


def test_lines_that_say_nothing_are_dropped(node: Names) -> None:
    """What is no address with names does not get into our files."""
    attached_before(node, "one")
    with open(f"{OLD}/addnhosts", "a") as file:
        file.write("nonsense\n\n10.1.2.99\t-bad example.org\n10.1.2.98\n")
    new = node.attach("c1", "new")
    assert new.ask("example.org.dns.podman") == Reply(0, ["10.1.2.99"])
    node.call("DEL", new)
