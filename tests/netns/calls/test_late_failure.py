# SPDX-License-Identifier: Apache-2.0
"""ADD whose result the runtime does not get is undone like one that failed before."""

from __future__ import annotations

import errno
import io
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import chains
import pytest
from chains import CHAIN, Container
from lab import in_suite, need, run
from pictures import picture

from cni_common.frame import skel
from cni_common.kernel import nft
from launcher.loading import Registered
from plugins import versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host

KEYS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


@contextmanager
def full() -> Iterator[BinaryIO]:
    """A file on a disk that is full."""
    with open("/dev/full", "wb", buffering=0) as stdout:
        yield stdout


@contextmanager
def unread() -> Iterator[BinaryIO]:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as stdout:
        yield stdout


@contextmanager
def lost() -> Iterator[BinaryIO]:
    """A file of which close(2) says that what was written is lost."""
    real = os.close
    with pytest.MonkeyPatch.context() as patch, open("/run/result", "wb") as stdout:

        def close(fd: int) -> None:
            is_copy = fd != stdout.fileno() and os.path.samestat(
                os.fstat(fd), os.fstat(stdout.fileno())
            )
            real(fd)
            if is_copy:
                raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "close", close)
        yield stdout


def answer(it: Container, plugin: str, stdout: BinaryIO) -> int:
    """Return the exit status of an ADD that prints to `stdout`."""
    previous = it.results.get(it.before(plugin))
    conf = chains.conf(plugin, it.number) | (
        {"prevResult": previous} if previous else {}
    )
    env = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": it.id,
        "CNI_NETNS": it.space.path,
        "CNI_IFNAME": it.ifname(plugin),
        "CNI_PATH": it.cni.plugin_path,
    }
    status = skel.run(
        plugin,
        lambda: Registered(plugin),
        env,
        io.BytesIO(json.dumps(conf).encode()),
        stdout,
        io.StringIO(),
        ours=in_suite,
        versions=versions_of(plugin),
    )
    nft.release()
    return status


def world(*those: Container) -> dict[str, Any]:
    """Return everything that an ADD may change.

    A server's number may be another, and so may the index of an ifb.
    """
    shown = picture(*(it.space for it in those))
    shown["files"] = {p: c for p, c in shown["files"].items() if p[-4:] != "/pid"}
    return {what: item for what, item in shown.items() if what[-8:] != ".ifindex"}


@pytest.fixture
def node(host: Host, cni: Cni) -> Iterator[Container]:
    """A host that forwards nothing yet, with a container that is not attached."""
    need("dnsmasq")
    for key in KEYS:
        run("sysctl", "-w", f"{key}=0")
    chains.prepare(host)
    it = Container(cni, host.space(), 1)
    yield it
    it.call("DEL", "dnsname")


@pytest.mark.parametrize("stream", [full, unread, lost])
@pytest.mark.parametrize("plugin", chains.cases())
def test_first_add_that_nobody_hears_of_leaves_nothing(
    node: Container, plugin: str, stream: Any
) -> None:
    """The host and the container are as before, bridge and forwarding included."""
    node.add(*chains.earlier(plugin))
    before = world(node)
    with stream() as stdout:
        assert answer(node, plugin, stdout) == 1
    assert world(node) == before
    node.add(plugin)


@pytest.mark.parametrize("plugin", CHAIN[1:])
def test_repeated_add_that_nobody_hears_of_keeps_the_first(
    node: Container, plugin: str
) -> None:
    """What the ADD before did is still there."""
    node.add(*CHAIN)
    before = world(node)
    with full() as stdout:
        assert answer(node, plugin, stdout) == 1
    assert world(node) == before


def test_lease_that_nobody_hears_of_is_given_back(host: Host, cni: Cni) -> None:
    """host-local, called by a plugin that is not ours, leases nothing either."""
    it = Container(cni, host.space(), 1)
    conf = chains.conf("bridge", 1)
    env = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": it.space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": cni.plugin_path,
    }
    before = world(it)
    with full() as stdout:
        text = io.BytesIO(json.dumps(conf).encode())
        load = Registered("host-local")
        assert skel.run("host-local", lambda: load, env, text, stdout, io.StringIO())
    assert world(it) == before
