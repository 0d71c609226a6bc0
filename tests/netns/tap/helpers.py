# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of tap share, and how a tap is opened."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netns.tap.answering import answer, attach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Space

TUNSETOWNER = 0x400454CC
GUEST = "10.90.0.1"
DUAL = {
    "type": "host-local",
    "ranges": [
        [{"subnet": "10.90.0.0/24", "gateway": GUEST}],
        [{"subnet": "fd90::/64", "gateway": "fd90::1"}],
    ],
    "routes": [{"dst": "192.0.2.0/24", "mtu": 1300}],
}


def conf(**keys: Any) -> dict[str, Any]:
    """Return a tap with addresses; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "tap",
        "ipam": DUAL,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}


def details(space: Space, link: str = "eth0") -> dict[str, Any]:
    """Return a link of the container as ip shows it, a tap's own options among it."""
    (found,) = space.ip("addr", "show", link)
    return {**found, **found["linkinfo"].get("info_data", {})}


def bridged(space: Space, name: str = "br0") -> None:
    """Have a bridge in the container, up, with a MAC that is not that of a port."""
    mac = ("address", "02:00:00:00:00:0b")
    space.run("ip", "link", "add", name, *mac, "type", "bridge")
    space.run("ip", "link", "set", name, "up")


def settled(space: Space) -> None:
    """Wait until the bridge has seen that its port has no carrier.

    The kernel looks in a work queue.
    """
    until = time.monotonic() + 10
    while details(space)["linkinfo"]["info_slave_data"]["state"] != "disabled":
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def device(space: Space) -> Iterator[int]:
    """Have /dev/net/tun open in the namespace."""
    with space.entered():
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        yield tun
    finally:
        os.close(tun)


def give_to(space: Space, uid: int) -> None:
    """Have the tap belong to another user."""
    with device(space) as tun:
        attach(tun)
        fcntl.ioctl(tun, TUNSETOWNER, uid)


def attach_as(tun: int, uid: int, gid: int) -> int:
    """Return the errno of another user's `attach`, 0 when it succeeds."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            attach(tun)
            status = 0
        except OSError as error:
            status = error.errno or 255
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def guest(space: Space, link: str = "eth0") -> Iterator[None]:
    """Have a machine behind the tap that answers ARP and echo requests for GUEST."""
    ended, end = os.pipe()
    with device(space) as tun:
        attach(tun, link=link)
        thread = threading.Thread(target=answer, args=(tun, ended, GUEST))
        thread.start()
        try:
            yield
        finally:
            os.close(end)
            thread.join()
            os.close(ended)
