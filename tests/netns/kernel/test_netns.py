# SPDX-License-Identifier: Apache-2.0
"""Namespaces: opened by path, told apart, entered and left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import ip

from cni_common.kernel import netns
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host, Space

HERE = "/proc/thread-self/ns/net"


def test_namespace_is_entered_and_left(container: Space) -> None:
    """Inside the block the thread is there, and after it back, also on an error."""
    home = os.stat(HERE).st_ino
    there = os.stat(container.path).st_ino
    with netns.entered_path(container.path) as opened:
        assert os.stat(HERE).st_ino == there == opened.inode
        assert [link["ifname"] for link in ip("link")] == ["lo"]
    assert os.stat(HERE).st_ino == home
    with pytest.raises(ValueError, match="x"), netns.entered_path(container.path):
        raise ValueError("x")
    assert os.stat(HERE).st_ino == home


def test_own_namespace_is_told(host: Host) -> None:
    """A path is our own namespace, another one, or none."""
    space = host.space()
    assert netns.is_own(HERE) is True
    assert netns.is_own(space.path) is False
    assert netns.is_own("/nowhere") is False
    with netns.own() as own:
        assert own.identity != netns.open_path(space.path).identity


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("/nowhere", "no such file or directory"),
        ("/etc/hostname", "not a network namespace"),
        ("/proc/self/ns/mnt", "not a network namespace"),
        ("/", "not a network namespace"),
        ("/dev/null", "not a network namespace"),
    ],
)
def test_what_is_no_network_namespace_is_code_8(path: str, cause: str) -> None:
    """Files, devices and namespaces of other kinds are refused, with the path."""
    with pytest.raises(CNIError) as raised:
        netns.open_path(path)
    assert raised.value.code == 8
    assert raised.value.msg == f"open network namespace {path!r}: {cause}"
    assert netns.open_living(path) is None


def test_pipe_does_not_hang(tmp_path: Path) -> None:
    """A pipe in the place of a namespace is refused at once."""
    os.mkfifo(tmp_path / "p")
    with pytest.raises(CNIError):
        netns.open_path(str(tmp_path / "p"))


def test_namespace_lives_while_its_identity_is_at_its_path(host: Host) -> None:
    """Another namespace at the same path is not the same."""
    space = host.space()
    with netns.open_path(space.path) as opened:
        identity = opened.identity
    assert netns.lives(space.path, identity) is True
    assert netns.lives(HERE, identity) is False
    space.delete()
    assert netns.lives(space.path, identity) is False
    assert netns.open_living(space.path) is None
    assert netns.open_living("") is None


def test_descriptors_are_given_back(container: Space) -> None:
    """Neither success nor refusal leaves a descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    for path in (container.path, "/etc/hostname", "/nowhere"):
        living = netns.open_living(path)
        if living is not None:
            living.close()
    with netns.entered_path(container.path):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
