# SPDX-License-Identifier: Apache-2.0
"""Containers attached by every plugin: a chain of six, and others beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kernel_features
import pytest
from netns.bridge import helpers as bridge
from netns.dummy import helpers as dummy
from netns.host_device import helpers as host_device
from netns.ipvlan import helpers as ipvlan
from netns.macvlan import helpers as macvlan
from netns.ptp import helpers as ptp
from netns.sbr import helpers as sbr
from netns.tap import helpers as tap
from netns.vlan import helpers as vlan
from netns.vrf import helpers as vrf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.mark.structures import ParameterSet
    from lab import Answer, Cni, Host, Space

    Document = dict[str, Any]

CHAIN = ("bridge", "portmap", "firewall", "tuning", "bandwidth", "dnsname")
# Each with an interface of its own.
ALONE = ("ptp", "macvlan", "host-device", "tap")
# Not every kernel has their links; what a test of them needs (kernel_features.py).
ELSEWHERE = {"dummy": "dummy", "ipvlan": "ipvlan", "vlan": "802.1q", "vrf": "vrf"}
# Behind another one, whose interface they share.
BEHIND = {"sbr": "ptp", "vrf": "macvlan"}
# In an order in which they can be called.
ALL = (*CHAIN, *ALONE, "sbr", *ELSEWHERE)
# All that this kernel can have at once.
EVERY = tuple(
    name
    for name in ALL
    if name not in ELSEWHERE or kernel_features.has(ELSEWHERE[name])
)
_POINTED = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
VALID = "cni.dev/valid-attachments"


def earlier(plugin: str) -> tuple[str, ...]:
    """Return the plugins that are called before `plugin` for its interface."""
    if plugin in CHAIN:
        return CHAIN[: CHAIN.index(plugin)]
    return (BEHIND[plugin],) if plugin in BEHIND else ()


def cases(*plugins: str) -> list[ParameterSet]:
    """Return `plugins` or all of them, each marked with what it needs of the kernel."""
    return [pytest.param(name, marks=_needed(name)) for name in plugins or ALL]


def _needed(plugin: str) -> Iterable[pytest.MarkDecorator]:
    if plugin not in ELSEWHERE:
        return ()
    return pytest.mark.needs_kernel(ELSEWHERE[plugin]), pytest.mark.thorough


def prepare(host: Host) -> None:
    """Have on the host what the plugins attach to; ens3 is for ipvlan alone."""
    host.outside("203.0.113", "2001:db8:77")
    for number, name in ((1, "ens1"), (2, "ens2"), (3, "ens3")):
        host_device.wired(host, name, number + 1)


def conf(plugin: str, number: int) -> Document:
    """Return the configuration of `plugin` for the container of that number."""
    name = {"cniVersion": "1.1.0", "name": "net", "type": plugin}
    mapping = {"hostPort": 8080 + number, "containerPort": 80, "protocol": "tcp"}
    own: dict[str, Document] = {
        "bridge": bridge.conf(ipMasq=True, macspoofchk=True),
        "portmap": {"runtimeConfig": {"portMappings": [mapping]}, "snat": True},
        "firewall": {"ingressPolicy": "same-bridge"},
        "tuning": {"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}},
        "bandwidth": {
            "ingressRate": 8_000_000,
            "ingressBurst": 800_000,
            "egressRate": 8_000_000,
            "egressBurst": 800_000,
        },
        "dnsname": {"domainName": "dns.podman"},
        "ptp": ptp.conf(name="pointed", ipam=_POINTED, ipMasq=True),
        "macvlan": macvlan.conf(name="shared", ipam=host_device.IPV4),
        "host-device": host_device.conf(name="lent", device=f"ens{number}"),
        "tap": tap.conf(name="machines"),
        "sbr": sbr.NAME,
        "dummy": dummy.conf(name="service", ipam=dummy.LEASE),
        "ipvlan": ipvlan.conf(name="wired", master="ens3", ipam=host_device.IPV4),
        "vlan": vlan.conf(name="tagged", vlanId=number),
        "vrf": vrf.NAME,
    }
    return {**name, **own[plugin]}


@dataclass
class Container:
    """A container, and the results of the plugins that attached it."""

    cni: Cni
    space: Space
    number: int
    results: dict[str, Any] = field(default_factory=dict)
    # What the configuration of a plugin has beside that of all.
    keys: dict[str, Document] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """CNI_CONTAINERID."""
        return f"c{self.number}"

    def call(self, verb: str, plugin: str, **keys: Any) -> Answer:
        """Return the answer of `plugin`, with prevResult as a runtime sends it."""
        own = self.keys.get(plugin, {})
        document = {**conf(plugin, self.number), **own, **keys}
        before = plugin if verb in {"DEL", "CHECK"} else self.before(plugin)
        if before in self.results:
            document["prevResult"] = self.results[before]
        if verb == "GC":
            return self.cni(plugin, verb, document)
        return self.cni(
            plugin,
            verb,
            document,
            netns=self.space,
            container_id=self.id,
            ifname=self.ifname(plugin),
        )

    def add(self, *plugins: str) -> None:
        """Have the container attached by `plugins`."""
        for plugin in plugins:
            answer = self.call("ADD", plugin)
            assert answer.status == 0, (plugin, answer.stdout, answer.stderr)
            self.results[plugin] = answer.document

    def delete(self, *plugins: str) -> None:
        """Have nothing left of what `plugins` did."""
        for plugin in reversed(plugins):
            answer = self.call("DEL", plugin)
            assert (answer.status, answer.stdout) == (0, ""), (plugin, answer.stdout)
            self.results.pop(plugin, None)

    def ifname(self, plugin: str) -> str:
        """Return CNI_IFNAME: the chain's plugins share an interface."""
        if plugin in CHAIN:
            return "eth0"
        apart = (*ALONE, *ELSEWHERE)
        return f"eth{apart.index(BEHIND.get(plugin, plugin)) + 1}"

    @staticmethod
    def before(plugin: str) -> str:
        """Return the plugin that is called before `plugin`, or nothing."""
        return (earlier(plugin) or ("",))[-1]
