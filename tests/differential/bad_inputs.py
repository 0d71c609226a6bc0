# SPDX-License-Identifier: Apache-2.0
"""Inputs that must be refused, with the code of the reference and ours.

The reference answers nearly everything that a plugin itself refuses with 999, which
is no code of the specification. Where ours differs, `reason` says why.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.differential.cases import PORTMAP, bridge, ipam

Document = dict[str, Any]
GO_ERROR, ACCEPTED = 999, 0
VERSION, FIELD, ENVIRONMENT, DECODE, CONFIG, NETNS = 1, 2, 4, 6, 7, 8
TRY_AGAIN = 11
CONFIG_CODE = "the specification has code 7 for an invalid configuration"
ENVIRONMENT_CODE = "the specification has code 4 for an invalid variable"
NETNS_CODE = "a namespace that cannot be opened is an invalid one, code 8"


PREVIOUS = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
    "ips": [{"address": "10.77.0.2/24", "interface": 0}],
}


@dataclass(frozen=True)
class BadInput:
    """One call and the codes it is refused with."""

    name: str
    stdin: Document | str
    reference: int
    ours: int = 0
    reason: str = ""
    plugin: str = "bridge"
    env: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is written to stdin."""
        if isinstance(self.stdin, str):
            return self.stdin
        whole = {"cniVersion": "1.0.0", "name": "lab", "type": self.plugin}
        return json.dumps({**whole, **self.stdin})

    @property
    def expected(self) -> int:
        """The code that ours has to give."""
        return self.ours or self.reference


def environment(name: str, **changed: str | None) -> BadInput:
    """Return a good configuration in a bad environment."""
    return BadInput(name, bridge(), ENVIRONMENT, env=changed)


def pool(name: str, **range_: Any) -> BadInput:
    """Return a configuration with one bad range."""
    section = ipam([{"subnet": "10.77.0.0/24", **range_}])
    return BadInput(name, bridge(ipam=section), GO_ERROR, CONFIG, CONFIG_CODE)


def configured(name: str, plugin: str = "bridge", **keys: Any) -> BadInput:
    """Return a configuration with a bad key, which the reference answers with 999."""
    base = bridge() if plugin == "bridge" else {}
    return BadInput(name, {**base, **keys}, GO_ERROR, CONFIG, CONFIG_CODE, plugin)


def published(name: str, *mappings: Document) -> BadInput:
    """Return portmap called with these mappings after a good result."""
    keys = {"runtimeConfig": {"portMappings": mappings}, "prevResult": PREVIOUS}
    document = {**PORTMAP, **keys}
    return BadInput(name, document, GO_ERROR, CONFIG, CONFIG_CODE, "portmap")


def tuned(name: str, **keys: Any) -> BadInput:
    """Return tuning called after a good result."""
    return configured(name, "tuning", prevResult=PREVIOUS, **keys)


ENVIRONMENTS = [
    environment("unknown command", CNI_COMMAND="FROB"),
    environment("command in lower case", CNI_COMMAND="add"),
    environment("no container ID", CNI_CONTAINERID=None),
    environment("empty container ID", CNI_CONTAINERID=""),
    environment("container ID with a slash", CNI_CONTAINERID="a/b"),
    environment("container ID with a line break", CNI_CONTAINERID="a\n"),
    environment("no netns", CNI_NETNS=None),
    environment("no interface name", CNI_IFNAME=None),
    environment("interface name of 16 characters", CNI_IFNAME="abcdefghijklmnop"),
    environment("interface name with a slash", CNI_IFNAME="a/b"),
    environment("interface name with a colon", CNI_IFNAME="a:b"),
    environment("interface name with a space", CNI_IFNAME="a b"),
    environment("interface name with a wide space", CNI_IFNAME="a\u2003b"),
    environment("interface name is a dot", CNI_IFNAME="."),
    environment("interface name is two dots", CNI_IFNAME=".."),
    environment("no path", CNI_PATH=None),
]
DOCUMENTS = [
    BadInput("empty stdin", "", DECODE),
    BadInput("not JSON", "{", DECODE),
    BadInput("an array", "[]", DECODE),
    BadInput("a number", "7", DECODE),
    BadInput("garbage behind", '{"name":"lab"} x', DECODE),
    BadInput("name is a number", '{"name":7}', DECODE),
    BadInput("no name", '{"cniVersion":"1.0.0"}', CONFIG),
    BadInput("name is null", '{"cniVersion":"1.0.0","name":null}', CONFIG),
    BadInput("empty name", {"name": ""}, CONFIG),
    BadInput("name with a slash", {"name": "../x"}, CONFIG),
    BadInput("name with a line break", {"name": "lab\n"}, CONFIG),
    BadInput("unknown version", {"cniVersion": "9.9.9"}, VERSION),
    BadInput("half a version", {"cniVersion": "1.0"}, VERSION),
    BadInput("version with a space", {"cniVersion": "1.0.0 "}, VERSION),
    BadInput(
        "CHECK of an old version",
        {"cniVersion": "0.3.1"},
        VERSION,
        env={"CNI_COMMAND": "CHECK"},
    ),
]
CONFIGURATIONS = [
    configured("mtu is a string", mtu="1500"),
    configured("mtu is a fraction", mtu=1500.5),
    configured("isGateway is a string", isGateway="true"),
    configured("bridge is a number", bridge=7),
    configured("ipam is a list", ipam=[]),
    configured("vlan too large", vlan=4095),
    configured("vlan negative", vlan=-1),
    configured("hairpin and promiscuous", hairpinMode=True, promiscMode=True),
    configured("no ipam section", plugin="host-local"),
    configured("no ranges", ipam={"type": "host-local"}),
    configured("MAC is a word", args={"cni": {"mac": "word"}}),
    configured("portmap without prevResult", plugin="portmap"),
    configured("prevResult of another shape", plugin="portmap", prevResult={"ips": 7}),
    pool("subnet with host bits", subnet="10.77.0.1/24"),
    pool("subnet is a word", subnet="word"),
    pool("subnet too small", subnet="10.77.0.0/31"),
    pool("start outside", rangeStart="10.78.0.1"),
    pool("end outside", rangeEnd="10.78.0.1"),
    pool("end before start", rangeStart="10.77.0.9", rangeEnd="10.77.0.8"),
    configured(
        "families mixed in a set",
        ipam=ipam([{"subnet": "10.77.0.0/24"}, {"subnet": "fd00:77::/64"}]),
    ),
    configured(
        "ranges overlap in a set",
        ipam=ipam([{"subnet": "10.77.0.0/24"}, {"subnet": "10.77.0.0/25"}]),
    ),
    configured(
        "sets overlap",
        ipam=ipam([{"subnet": "10.77.0.0/24"}], [{"subnet": "10.77.0.0/25"}]),
    ),
    configured("tuning without prevResult", plugin="tuning", mtu=1400),
    tuned("tuning a parameter outside net", sysctl={"kernel.panic": "1"}),
    tuned("tuning a parameter by a detour", sysctl={"net/../kernel/panic": "1"}),
    tuned("tuning with a number as a value", sysctl={"net.core.somaxconn": 1}),
    tuned("tuning with a string as MTU", mtu="1400"),
    published("host port 0", {"hostPort": 0, "containerPort": 80, "protocol": "tcp"}),
    published("no container port", {"hostPort": 8080, "protocol": "tcp"}),
    published(
        "host port 65536", {"hostPort": 65536, "containerPort": 80, "protocol": "tcp"}
    ),
    published(
        "unknown protocol", {"hostPort": 8080, "containerPort": 80, "protocol": "icmp"}
    ),
]
CALLS = [
    BadInput(
        "pair without a value",
        bridge(),
        GO_ERROR,
        ENVIRONMENT,
        ENVIRONMENT_CODE,
        env={"CNI_ARGS": "IgnoreUnknown=1;word"},
    ),
    BadInput(
        "unknown key in CNI_ARGS",
        bridge(),
        GO_ERROR,
        ENVIRONMENT,
        ENVIRONMENT_CODE,
        env={"CNI_ARGS": "FROB=x"},
    ),
    BadInput(
        "MAC in CNI_ARGS is a word",
        bridge(),
        GO_ERROR,
        CONFIG,
        CONFIG_CODE,
        env={"CNI_ARGS": "MAC=word"},
    ),
    BadInput(
        "netns does not exist",
        bridge(),
        GO_ERROR,
        NETNS,
        NETNS_CODE,
        env={"CNI_NETNS": "/run/netns/none"},
    ),
    BadInput(
        "netns is a plain file",
        bridge(),
        GO_ERROR,
        NETNS,
        NETNS_CODE,
        env={"CNI_NETNS": "/etc/hosts"},
    ),
    BadInput("interface exists", bridge(), GO_ERROR, env={"CNI_IFNAME": "lo"}),
    BadInput("bridge name is another link", bridge(bridge="eth0"), GO_ERROR),
    BadInput(
        "requested address outside the range",
        bridge(),
        GO_ERROR,
        CONFIG,
        CONFIG_CODE,
        env={"CNI_ARGS": "IP=10.78.0.1"},
    ),
    BadInput("IPAM plugin is missing", bridge(ipam={"type": "none"}), GO_ERROR),
    BadInput(
        "IPAM plugin is a path",
        bridge(ipam={"type": "../host-local"}),
        GO_ERROR,
        CONFIG,
        CONFIG_CODE,
    ),
    BadInput(
        "netns is the plugin's own",
        bridge(),
        ACCEPTED,
        NETNS,
        "version 1.1.1 attaches the host to itself; later ones refuse it afterwards",
        env={"CNI_NETNS": "/proc/self/ns/net", "CNI_IFNAME": "net1"},
    ),
]
BAD_INPUTS = [*ENVIRONMENTS, *DOCUMENTS, *CONFIGURATIONS, *CALLS]
