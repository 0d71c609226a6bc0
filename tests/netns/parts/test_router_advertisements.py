# SPDX-License-Identifier: Apache-2.0
"""What containers announce as routers does not become what the host believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import IPV4, conf, layer2
from netns.parts.advertisement import advertise, learnt

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space


def accept_ra(link: str) -> str:
    """Return what the kernel says of the link's parameter."""
    return run("sysctl", "-n", f"net.ipv6.conf.{link}.accept_ra").strip()


def plain() -> None:
    """Have a bridge as an administrator makes one."""
    run("ip", "link", "add", "br0", "type", "bridge")


def nothing() -> None:
    """Leave it to the plugin."""


@pytest.mark.parametrize("prepare", [plain, nothing])
@pytest.mark.parametrize("keys", [{}, {"isGateway": False}])
def test_host_learns_nothing_from_a_port(
    cni: Cni, container: Space, prepare: Callable[[], None], keys: dict[str, Any]
) -> None:
    """A bridge, made or found, takes no route from a container."""
    prepare()
    cni.ok("bridge", "ADD", conf(**keys), netns=container)
    assert accept_ra("br0") == "0"
    if not keys:
        advertise(container)
        # What comes after the advertisement is answered after it was read.
        assert container.reaches("10.1.2.1")
    assert learnt("br0") == []


def test_next_container_closes_what_was_opened(cni: Cni, host: Host) -> None:
    """A parameter that was set back in between is 0 again with the next ADD."""
    cni.ok("bridge", "ADD", conf(), netns=host.space(), container_id="one")
    run("sysctl", "-qw", "net.ipv6.conf.br0.accept_ra=1")
    cni.ok("bridge", "ADD", conf(), netns=host.space(), container_id="two")
    assert accept_ra("br0") == "0"


def test_host_learns_nothing_from_the_far_end(cni: Cni, container: Space) -> None:
    """The host's end of ptp, also behind bandwidth's limits, takes no route."""
    wanted = {"cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipam": IPV4}
    result = cni.ok("ptp", "ADD", wanted, netns=container)
    limits = {"egressRate": 8_000_000, "egressBurst": 8_000_000}
    cni.ok(
        "bandwidth",
        "ADD",
        {**wanted, "type": "bandwidth", **limits, "prevResult": result},
        netns=container,
    )
    link = result["interfaces"][0]["name"]
    advertise(container)
    assert container.reaches("10.1.2.1")
    assert learnt(link) == []


def lan(host: Host) -> Space:
    """Return the router of a network that the node reaches by its own bridge."""
    router = host.outside()
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "br0", "up")
    run("sysctl", "-qw", "net.ipv6.conf.br0.accept_ra=1")
    run("ip", "addr", "flush", "dev", "eth0")
    run("ip", "link", "set", "eth0", "master", "br0")
    run("ip", "addr", "add", "198.51.100.1/24", "dev", "br0")
    return router


@pytest.mark.parametrize("evidence", ["route", "address"])
def test_uplink_of_the_host_keeps_its_router(
    cni: Cni, host: Host, evidence: str
) -> None:
    """A bridge that is the host's own way out goes on listening, if no gateway."""
    router = lan(host)
    if evidence == "route":
        run("ip", "route", "add", "default", "via", "198.51.100.2")
    else:
        run(
            "ip",
            "addr",
            "add",
            "fd00:7::9/64",
            "dev",
            "br0",
            "valid_lft",
            "999",
            "preferred_lft",
            "999",
        )
    ipam = {**IPV4, "ranges": [[{"subnet": "198.51.100.0/24"}]], "routes": []}
    for wanted in (layer2(name="two"), conf(isGateway=False, ipam=ipam)):
        space = host.space()
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=wanted["name"])
        assert accept_ra("br0") == "1"
    advertise(router)
    assert router.reaches("198.51.100.1")
    assert "default" in learnt("br0")


def test_gateway_is_no_host_on_its_uplink(cni: Cni, host: Host) -> None:
    """With isGateway the bridge is the router: it listens to none."""
    lan(host)
    run("ip", "route", "add", "default", "via", "198.51.100.2")
    range_ = {"subnet": "198.51.100.0/24", "gateway": "198.51.100.1"}
    wanted = conf(ipam={"type": "host-local", "ranges": [[range_]]})
    cni.ok("bridge", "ADD", wanted, netns=host.space())
    assert accept_ra("br0") == "0"


def test_failed_add_leaves_the_parameter(cni: Cni, container: Space) -> None:
    """A bridge that was there listens as before when ADD has failed."""
    plain()
    bad = {"type": "host-local", "ranges": [[{"subnet": "10.1.2.0/31"}]]}
    cni.refused("bridge", "ADD", conf(ipam=bad), netns=container)
    assert accept_ra("br0") == "1"
