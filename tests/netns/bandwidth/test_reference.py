# SPDX-License-Identifier: Apache-2.0
"""bandwidth: the reference before or after us."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.bandwidth.helpers import attached, ifbs, limits, node, qdiscs, redirects
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


def seen(one: Attached) -> dict[str, Any]:
    """Return a picture of the host with all that tc shows; ifbs get new indexes."""
    shown = picture(one.space)
    names = [one.veth, *ifbs()]
    return {key: value for key, value in shown.items() if "ifindex" not in key} | {
        f"{name} {what} {more}": _shown(what, "show", "dev", name, *more)
        for name in names
        for what, more in (
            ("qdisc", ()),
            ("class", ()),
            ("filter", ()),
            ("filter", ("ingress",)),
        )
    }


def _shown(*command: str) -> str:
    """Return what tc says, without the numbers that the kernel gives to actions."""
    return re.sub(r"\bindex \d+", "", run("tc", *command))


def reference(one: Attached, command: str, document: dict[str, Any]) -> str:
    """Call the Go plugin as a runtime does."""
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": one.container_id,
        "CNI_NETNS": one.space.path,
        "CNI_IFNAME": one.ifname,
        "CNI_PATH": "/usr/lib/cni",
    }
    return run(need("bandwidth"), env=env, input=json.dumps(document))


def conf(one: Attached, **keys: Any) -> dict[str, Any]:
    """Return a configuration in a version that the packaged reference speaks."""
    interfaces = [
        {key: value for key, value in link.items() if key != "mtu"}
        for link in one.result["interfaces"]
    ]
    previous = {**one.result, "cniVersion": "1.0.0", "interfaces": interfaces}
    return one.conf(cniVersion="1.0.0", prevResult=previous, **keys)


@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_what_the_reference_limited_is_released(one: Attached, netns: str) -> None:
    """DEL of a container that the reference limited removes its ifb, and its limits."""
    before = seen(one)
    reference(one, "ADD", conf(one, **limits()))
    assert len(ifbs()) == 1
    options = {} if netns == "there" else {"netns": netns}
    one.call("DEL", conf(one, **limits()), **options)
    assert ifbs() == []
    if netns == "there":
        assert seen(one) == before


def test_reference_releases_what_we_limited(one: Attached) -> None:
    """The reference's DEL finds our ifb, and ours finishes what it left."""
    one.call("ADD", conf(one, **limits()))
    reference(one, "DEL", conf(one))
    assert ifbs() == []
    one.call("DEL", conf(one))
    assert qdiscs(one.veth) == {"noqueue": {}}


def test_ours_and_the_references_limits_are_the_same(host: Host, cni: Cni) -> None:
    """tc shows the same rates, bursts and latencies for both."""
    both = [attached(cni, host.space(), container_id=name) for name in ("a", "b")]
    both[0].call("ADD", conf(both[0], **limits()))
    reference(both[1], "ADD", conf(both[1], **limits()))
    ours, theirs = (
        [qdiscs(link) for link in (one.veth, redirects(one.veth)[0])] for one in both
    )
    assert ours == theirs


def test_second_interface_of_a_container_of_the_reference(host: Host, cni: Cni) -> None:
    """Beside an ifb of the reference another interface gets one of another name."""
    space = host.space()
    theirs, ours = (attached(cni, space, ifname=name) for name in ("eth0", "eth1"))
    reference(theirs, "ADD", conf(theirs, **limits()))
    ours.call("ADD", conf(ours, **limits()))
    assert len(ifbs()) == 2
    ours.call("DEL", conf(ours))
    assert set(ifbs()) == set(redirects(theirs.veth))
