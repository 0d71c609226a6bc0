# SPDX-License-Identifier: Apache-2.0
"""Spoof checks that the reference's bridge plugin set up are taken away."""

from __future__ import annotations

import json
import os

import pytest
from lab import Host, need, run

from cni_common.naming import Attachment
from cni_common.reference import spoofing

LONG = "f" * 64


def attach(host: Host, container_id: str, ifname: str = "eth0") -> None:
    """Run ADD of the distribution's bridge with macspoofchk, without IPAM."""
    directory = os.path.dirname(need("host-local"))
    conf = {
        "cniVersion": "1.0.0",
        "name": "blue",
        "type": "bridge",
        "bridge": "br-blue",
        "macspoofchk": True,
        "ipam": {},
    }
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container_id,
        "CNI_NETNS": host.space().path,
        "CNI_IFNAME": ifname,
        "CNI_PATH": directory,
    }
    run(os.path.join(directory, "bridge"), input=json.dumps(conf), env=env)


def ruleset() -> str:
    return run("nft", "list", "ruleset")


@pytest.mark.parametrize("container_id", ["one", "1.a_b-c", LONG])
def test_chains_of_one_attachment_go_and_of_others_stay(
    host: Host, container_id: str
) -> None:
    """What the second ADD added is what our removal takes away again."""
    attach(host, "two")
    attach(host, container_id, "eth1")
    before = ruleset()
    attach(host, container_id)
    assert f"cni-br-iface-{container_id}-eth0-mac" in ruleset()

    spoofing.delete(Attachment("blue", container_id, "eth0"))

    assert ruleset() == before


def test_table_that_others_may_use_stays(host: Host) -> None:
    """`bridge nat` is ebtables' table too: it and its base chain are left, empty."""
    attach(host, "one")
    run("nft", "add", "chain", "bridge", "nat", "mine")

    spoofing.delete(Attachment("blue", "one", "eth0"))

    left = ruleset()
    assert "cni-br-iface" not in left
    assert "jump" not in left
    assert "chain PREROUTING" in left
    assert "chain mine" in left


def test_half_of_the_chains_is_removed_too(host: Host) -> None:
    """A DEL of the reference that was killed half-way does not keep ours from it."""
    attach(host, "one")
    run("nft", "flush", "chain", "bridge", "nat", "PREROUTING")
    run("nft", "delete", "chain", "bridge", "nat", "cni-br-iface-one-eth0")

    spoofing.delete(Attachment("blue", "one", "eth0"))

    assert "cni-br-iface" not in ruleset()


def test_name_that_is_a_command_is_never_run(host: Host) -> None:
    """An interface name with nft's syntax in it reaches nft in no command."""
    attach(host, "one")
    before = ruleset()

    spoofing.delete(Attachment("blue", "one", "eth0;flush\truleset"))

    assert ruleset() == before
