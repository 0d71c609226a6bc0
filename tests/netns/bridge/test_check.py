# SPDX-License-Identifier: Apache-2.0
"""bridge: CHECK notices each damage, and accepts what later plugins may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bridge.helpers import conf, layer2, with_result

if TYPE_CHECKING:
    from lab import Cni, Space

WANTED = conf(
    isDefaultGateway=True,
    ipMasq=True,
    macspoofchk=True,
    hairpinMode=True,
    portIsolation=True,
    mtu=1400,
    ipam={
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [
            {"dst": "192.0.2.0/24", "mtu": 1300},
            {"dst": "198.51.100.0/24", "table": 500},
        ],
    },
)


@pytest.fixture
def result(cni: Cni, container: Space) -> Any:
    """The result of an ADD with everything."""
    return cni.ok("bridge", "ADD", WANTED, netns=container)


def checked(cni: Cni, container: Space, result: Any) -> str:
    """Return what CHECK complains about, or an empty text."""
    answer = cni("bridge", "CHECK", with_result(WANTED, result), netns=container)
    assert answer.stdout or answer.status == 0
    return str(answer.document["msg"]) if answer.stdout else ""


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
def test_check_passes_right_after_add(cni: Cni, container: Space, version: str) -> None:
    """What ADD left is what CHECK expects, in every version that has CHECK."""
    wanted = {**WANTED, "cniVersion": version}
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)


def test_check_passes_for_layer2(cni: Cni, container: Space) -> None:
    """A network without ipam has a CHECK that passes."""
    wanted = layer2(macspoofchk=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)


def test_check_passes_for_a_disabled_interface(cni: Cni, container: Space) -> None:
    """An interface that was to stay down is expected to be down."""
    wanted = layer2(disableContainerInterface=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)


def test_check_needs_a_result(cni: Cni, container: Space, result: Any) -> None:
    """Without prevResult CHECK is code 7."""
    assert result["interfaces"] != []
    error = cni.refused("bridge", "CHECK", WANTED, netns=container)
    assert error["code"] == 7
    assert error["msg"] == "required prevResult missing"


INSIDE = "inside"
HOST_END = "VETH"
DAMAGES: dict[str, tuple[list[list[str]], str]] = {
    "link down": (
        [[INSIDE, "ip", "link", "set", "eth0", "down"]],
        "check interface eth0: it is down",
    ),
    "link gone": (
        [[INSIDE, "ip", "link", "del", "eth0"]],
        "check interface eth0: it does not exist",
    ),
    "link replaced": (
        [
            [INSIDE, "ip", "link", "del", "eth0"],
            [INSIDE, "ip", "link", "add", "eth0", "type", "bridge"],
        ],
        "check interface eth0: it is no veth",
    ),
    "link MAC": (
        [[INSIDE, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"]],
        "check interface eth0: its MAC is 02:00:00:00:00:99, not ",
    ),
    "host end down": (
        [["ip", "link", "set", HOST_END, "down"]],
        "check bridge port VETH: it is down",
    ),
    "host end MTU": (
        [["ip", "link", "set", HOST_END, "mtu", "1300"]],
        "check bridge port VETH: its MTU is 1300, not 1400",
    ),
    "host end MAC": (
        [["ip", "link", "set", HOST_END, "address", "02:00:00:00:00:99"]],
        "check bridge port VETH: its MAC is 02:00:00:00:00:99, not ",
    ),
    "no port": (
        [["ip", "link", "set", HOST_END, "nomaster"]],
        "check interface eth0: its peer is no port of br0",
    ),
    "hairpin": (
        [["bridge", "link", "set", "dev", HOST_END, "hairpin", "off"]],
        "check bridge port VETH: hairpin mode is off",
    ),
    "isolation": (
        [["bridge", "link", "set", "dev", HOST_END, "isolated", "off"]],
        "check bridge port VETH: isolation is off",
    ),
    "port disabled": (
        [["bridge", "link", "set", "dev", HOST_END, "state", "0"]],
        "check bridge port VETH: it is disabled",
    ),
    "IPv4 address": (
        [[INSIDE, "ip", "addr", "del", "10.1.2.2/24", "dev", "eth0"]],
        "check interface eth0: it lacks 10.1.2.2/24",
    ),
    "IPv6 address": (
        [[INSIDE, "ip", "addr", "del", "fd00:1::2/64", "dev", "eth0"]],
        "check interface eth0: it lacks fd00:1::2/64",
    ),
    "default route": (
        [[INSIDE, "ip", "route", "del", "default"]],
        "check interface eth0: it lacks the route 0.0.0.0/0 via 10.1.2.1",
    ),
    "default route elsewhere": (
        [[INSIDE, "ip", "route", "replace", "default", "via", "10.1.2.77"]],
        "check interface eth0: it lacks the route 0.0.0.0/0 via 10.1.2.1",
    ),
    "IPv6 default route": (
        [[INSIDE, "ip", "-6", "route", "del", "default"]],
        "check interface eth0: it lacks the route ::/0 via fd00:1::1",
    ),
    "MTU of a route": (
        [[INSIDE, "ip", "route", "replace", "192.0.2.0/24", "via", "10.1.2.1"]],
        "check interface eth0: it lacks the route 192.0.2.0/24 via 10.1.2.1",
    ),
    "route of a table": (
        [[INSIDE, "ip", "route", "flush", "table", "500"]],
        "check interface eth0: it lacks the route 198.51.100.0/24 via 10.1.2.1",
    ),
    "bridge down": (
        [["ip", "link", "set", "br0", "down"]],
        "check bridge br0: it is down",
    ),
    "bridge gone": (
        [["ip", "link", "del", "br0"]],
        "find link br0: no such device",
    ),
    "bridge MAC": (
        [["ip", "link", "set", "br0", "address", "02:00:00:00:00:99"]],
        "check bridge br0: its MAC is 02:00:00:00:00:99, not ",
    ),
    "gateway address": (
        [["ip", "addr", "del", "10.1.2.1/24", "dev", "br0"]],
        "check gateway br0: it lacks 10.1.2.1/24",
    ),
    "IPv4 forwarding": (
        [["sysctl", "-qw", "net.ipv4.ip_forward=0"]],
        "check forwarding: IPv4 is not forwarded",
    ),
    "IPv6 forwarding": (
        [["sysctl", "-qw", "net.ipv6.conf.all.forwarding=0"]],
        "check forwarding: IPv6 is not forwarded",
    ),
    "masquerade table": (
        [["nft", "delete", "table", "inet", "cnipy_masquerade"]],
        "check masquerade of 10.1.2.0/24: its rule is missing",
    ),
    "masquerade rules": (
        [["nft", "flush", "chain", "inet", "cnipy_masquerade", "postrouting"]],
        "check masquerade of 10.1.2.0/24: its rule is missing",
    ),
    "spoof table": (
        [["nft", "delete", "table", "bridge", "cnipy_spoofcheck"]],
        "check spoof protection of VETH: a rule or an element is missing",
    ),
    "spoof rules": (
        [["nft", "flush", "chain", "bridge", "cnipy_spoofcheck", "prerouting"]],
        "check spoof protection of VETH: a rule or an element is missing",
    ),
    "spoof element": (
        [["nft", "flush", "set", "bridge", "cnipy_spoofcheck", "guarded"]],
        "check spoof protection of VETH: a rule or an element is missing",
    ),
    "spoof MAC": (
        [["nft", "flush", "set", "bridge", "cnipy_spoofcheck", "bound"]],
        "check spoof protection of VETH: a rule or an element is missing",
    ),
    "lease": (
        [["rm", "/var/lib/cni/networks/net/10.1.2.2"]],
        "check address 10.1.2.2: not leased to container c1 interface eth0",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_notices(cni: Cni, container: Space, result: Any, damage: str) -> None:
    """CHECK names the one thing that is not as ADD left it."""
    veth = result["interfaces"][1]["name"]
    commands, expected = DAMAGES[damage]
    for command in commands:
        at, *words = [veth if word == HOST_END else word for word in command]
        container.run(*words) if at == INSIDE else run(at, *words)
    expected = expected.replace(HOST_END, veth)
    assert checked(cni, container, result)[: len(expected)] == expected


def test_check_notices_promiscuity_that_is_off(cni: Cni, container: Space) -> None:
    """promiscMode is part of what CHECK expects of the bridge."""
    wanted = conf(promiscMode=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    run("ip", "link", "set", "br0", "promisc", "off")
    error = cni.refused("bridge", "CHECK", with_result(wanted, result), netns=container)
    assert error["msg"] == "check bridge br0: it is not promiscuous"


ADDITIONS: dict[str, list[str]] = {
    "address": ["ip", "addr", "add", "10.77.0.1/24", "dev", "eth0"],
    "IPv6 address": ["ip", "addr", "add", "fd77::1/64", "dev", "eth0"],
    "route": ["ip", "route", "add", "203.0.113.0/24", "via", "10.1.2.1"],
    "MTU": ["ip", "link", "set", "eth0", "mtu", "1280"],
    "link": ["ip", "link", "add", "own0", "type", "bridge"],
}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_check_accepts(cni: Cni, container: Space, result: Any, addition: str) -> None:
    """Further addresses and routes and another MTU in the container are accepted."""
    container.run(*ADDITIONS[addition])
    assert checked(cni, container, result) == ""


def test_check_accepts_a_mac_that_the_result_tells(cni: Cni, container: Space) -> None:
    """A later plugin that changes the MAC says so in prevResult."""
    wanted = conf()
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    container.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
    result["interfaces"][2]["mac"] = "02:00:00:00:00:99"
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)


def test_check_accepts_addresses_of_other_interfaces(
    cni: Cni, container: Space, result: Any
) -> None:
    """An address that belongs to another interface of the result is none of ours."""
    result["interfaces"].append({"name": "net1", "sandbox": container.path})
    result["ips"].append({"address": "10.66.0.2/24", "interface": 3})
    assert checked(cni, container, result) == ""


def test_check_compares_the_sandbox(cni: Cni, container: Space, result: Any) -> None:
    """A prevResult of another namespace is an error, as is one without the link."""
    result["interfaces"][2]["sandbox"] = "/run/netns/other"
    assert checked(cni, container, result) == (
        "check interface eth0: sandbox in prevResult /run/netns/other doesn't match"
        f" configured netns: {container.path}"
    )
    del result["interfaces"][2]
    result["ips"] = []
    assert checked(cni, container, result) == (
        "check interface eth0: not in prevResult"
    )


def test_check_wants_the_host_end_in_the_result(
    cni: Cni, container: Space, result: Any
) -> None:
    """A prevResult that does not name the host's end is not of this attachment."""
    veth = result["interfaces"][1]["name"]
    result["interfaces"][1]["name"] = "vethother"
    assert checked(cni, container, result) == (
        f"check interface eth0: its peer {veth} is not in prevResult"
    )


def test_check_without_a_record(cni: Cni, container: Space, result: Any) -> None:
    """CHECK needs no memory of ours where prevResult says everything."""
    run("rm", "-r", "/run/cni/cnipy/bridge")
    assert checked(cni, container, result) == ""
