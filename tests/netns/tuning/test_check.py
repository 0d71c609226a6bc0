# SPDX-License-Identifier: Apache-2.0
"""tuning: CHECK names what is not as asked for; STATUS tells whether ADD could work."""

from __future__ import annotations

import shutil
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.tuning.helpers import BACKUPS, EVERYTHING, NAME, conf, with_link

from cni_common.kernel import sysctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Space


@pytest.fixture
def tuned(container: Space) -> Iterator[Space]:
    """A container with eth0, and no backup of an earlier test."""
    shutil.rmtree(BACKUPS, ignore_errors=True)
    yield with_link(container)
    shutil.rmtree(BACKUPS, ignore_errors=True)


SOL_PACKET, PACKET_ADD_MEMBERSHIP = 263, 1  # linux/if_packet.h
PACKET_MR_PROMISC, PACKET_MR_ALLMULTI = 1, 2
LINK = ("ip", "link", "set", "eth0")
SYSCTL = ("sysctl", "-qw")
HARM = (
    ((*LINK, "mtu", "1300"), "check link eth0: mtu is 1300, not 1400"),
    ((*LINK, "txqueuelen", "9"), "check link eth0: txQLen is 9, not 77"),
    ((*LINK, "promisc", "off"), "check link eth0: promisc is off, not on"),
    ((*LINK, "allmulticast", "off"), "check link eth0: allmulti is off, not on"),
    (
        (*LINK, "address", "02:00:00:00:00:99"),
        "check link eth0: mac is 02:00:00:00:00:99, not 02:00:00:00:00:11",
    ),
    (
        (*SYSCTL, "net.ipv4.conf.eth0.arp_filter=0"),
        "check sysctl net/ipv4/conf/eth0/arp_filter: it is 0, not 1",
    ),
    (
        (*SYSCTL, "net.core.somaxconn=7"),
        "check sysctl net/core/somaxconn: it is 7, not 500",
    ),
    (("ip", "link", "delete", "eth0"), "find link eth0: no such device"),
)


@pytest.mark.parametrize(("harm", "message"), HARM)
def test_check_names_what_is_different(
    cni: Cni, tuned: Space, harm: tuple[str, ...], message: str
) -> None:
    """CHECK passes after ADD, and names the one thing that somebody changed."""
    wanted = conf(tuned, **EVERYTHING)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    tuned.run(*harm)
    error = cni.refused("tuning", "CHECK", wanted, netns=tuned)
    assert (error["code"], error["msg"]) == (999, message)


def test_check_ignores_what_is_not_asked_for(cni: Cni, tuned: Space) -> None:
    """A promiscuous link, set by somebody in the container, is no fault by itself."""
    wanted = conf(tuned, mtu=1400)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    tuned.run(*LINK, "promisc", "on", "allmulticast", "on", "txqueuelen", "3")
    cni.ok("tuning", "CHECK", wanted, netns=tuned)


def test_check_with_a_sniffer_in_the_container(cni: Cni, tuned: Space) -> None:
    """Who listens with a packet socket makes no setting, and CHECK passes."""
    wanted = conf(tuned, promisc=False, allmulti=False)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    with tuned.entered():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        index = socket.if_nametoindex("eth0")
    with sniffer:
        for kind in (PACKET_MR_PROMISC, PACKET_MR_ALLMULTI):
            asked = struct.pack("iHH8s", index, kind, 0, b"")
            sniffer.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, asked)
        (shown,) = tuned.ip("link", "show", "dev", "eth0")
        assert shown["promiscuity"] == 1
        cni.ok("tuning", "CHECK", wanted, netns=tuned)


@pytest.mark.parametrize("key", ["promisc", "allmulti"])
def test_false_is_asked_for(cni: Cni, tuned: Space, key: str) -> None:
    """`false` turns the flag off, CHECK sees it on, and DEL turns it on again."""
    words = {"promisc": "promisc", "allmulti": "allmulticast"}
    tuned.run(*LINK, words[key], "on")
    wanted = conf(tuned, **{key: False})
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    error = cni.refused("tuning", "CHECK", wanted, netns=tuned)
    assert error["msg"] == f"check link eth0: {key} is on, not off"


@pytest.mark.parametrize(
    "keys", [{}, EVERYTHING, {**EVERYTHING, "dataDir": "/run/lab/new/tuning"}]
)
def test_status_is_ready(cni: Cni, tuned: Space, keys: dict[str, Any]) -> None:
    """STATUS succeeds without a container, and makes nothing."""
    del tuned
    cni.ok("tuning", "STATUS", {**NAME, **keys})
    assert run("find", "/run/cni/tuning", "/run/lab/new", check=False) == ""


def test_status_with_parameters_that_nobody_may_write(
    cni: Cni, tuned: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STATUS is code 50 where /proc/sys is read-only and a parameter is asked for."""
    del tuned
    monkeypatch.setattr(sysctl, "read_only", lambda: True)
    cni.ok("tuning", "STATUS", {**NAME, "mtu": 1400})
    error = cni.refused("tuning", "STATUS", {**NAME, **EVERYTHING})
    assert error["code"] == 50
    assert error["msg"] == "set sysctl: /proc/sys is mounted read-only"


def test_status_with_a_directory_of_others(
    cni: Cni, tuned: Space, tmp_path: Path
) -> None:
    """STATUS is code 50 where the backup could not be written safely."""
    del tuned
    tmp_path.chmod(0o777)
    wanted = {**NAME, "mtu": 1400, "dataDir": str(tmp_path)}
    error = cni.refused("tuning", "STATUS", wanted)
    assert error["code"] == 50
    assert error["msg"] == f"use dataDir {tmp_path}: others may write in it"
    cni.ok("tuning", "STATUS", {**wanted, "mtu": 0})
