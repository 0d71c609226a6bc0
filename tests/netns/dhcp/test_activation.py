# SPDX-License-Identifier: Apache-2.0
"""The keeper where systemd listens for it, and several of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from netns.dhcp.helpers import (
    CONF,
    SOCKET,
    TOP,
    Keeper,
    Lan,
    addresses,
    conf,
    keeper_at,
    recorded,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni

# As systemd starts a service whose socket it has (sd_listen_fds(3)).
ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
from launcher.main import run
run(["cnipy", "dhcp"])
"""


def start(listener: socket.socket) -> subprocess.Popen[bytes]:
    """Return a keeper that was passed the socket."""
    number = listener.fileno()
    words = [sys.executable, "-c", ACTIVATED, str(number)]
    return subprocess.Popen(words, cwd=TOP, pass_fds=[number])


def test_socket_of_systemd_outlives_keepers(lan: Lan, cni: Cni) -> None:
    """Who calls while there is none waits for the next one."""
    path = "/run/cni/other.sock"
    os.makedirs("/run/cni", exist_ok=True)
    lan.serve()
    space = lan.container()
    document = conf(daemonSocketPath=path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(8)
        with start(listener) as first:
            result = cni.ok("dhcp", "ADD", document, netns=space)
            first.send_signal(signal.SIGTERM)
            assert first.wait(10) == 0
        assert os.path.exists(path)
        assert recorded()[0]["socket"] == path
        with start(listener) as second:
            assert cni.ok("dhcp", "ADD", document, netns=space) == result
            cni.ok("dhcp", "DEL", document, netns=space)
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
    until(lambda: recorded() == [])


def test_keeper_that_ends_takes_its_socket_along(keeper: Keeper) -> None:
    """And says nothing of it."""
    assert keeper.stop() == 0
    assert not os.path.exists(SOCKET)
    assert keeper.said() == ""


def test_second_keeper_at_a_socket_is_refused(keeper: Keeper) -> None:
    """The first one goes on."""
    ended = subprocess.run(
        [*keeper.command], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"listen on {SOCKET}: a server is listening there" in ended.stderr
    assert keeper.process is not None
    assert keeper.process.poll() is None


def test_each_keeper_has_its_own_leases(
    lan: Lan, keeper: Keeper, cni: Cni, tmp_path: Path
) -> None:
    """Two networks of one container, by two sockets; DEL finds whose lease it is."""
    lan.serve()
    space = lan.container()
    lan.plug(space, "eth1")
    path = "/run/cni/second.sock"
    with keeper_at(tmp_path / "second.log", "--socket", path) as second:
        one = cni.ok("dhcp", "ADD", CONF, netns=space)
        other = conf(daemonSocketPath=path) | {"name": "wan"}
        two = cni.ok("dhcp", "ADD", other, netns=space, ifname="eth1")
        assert addresses(one) != addresses(two)
        for each in (keeper, second):
            each.kill()
            each.start()
        until(lambda: lan.log().count("DHCPACK") == 4)
        assert lan.log().count("DHCPREQUEST") == 4
        forgotten = conf() | {"name": "wan"}
        cni.ok("dhcp", "DEL", forgotten, netns=space, ifname="eth1")
        until(lambda: len(lan.leased()) == 1)
        cni.ok("dhcp", "DEL", CONF, netns=space)
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])


def test_bridge_that_is_deleted_without_a_keeper(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """The link is gone when the next keeper gives the lease back, by the host."""
    from lab import run  # noqa: PLC0415 - for this one

    run("ip", "addr", "add", "10.77.0.2/24", "dev", "br0")
    lan.serve()
    space = lan.host.space()
    document = {**CONF, "bridge": "br0"}
    cni.ok("bridge", "ADD", document, netns=space)
    keeper.kill()
    cni.ok("bridge", "DEL", document, netns=space)
    assert len(lan.leased()) == 1
    keeper.start()
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])
