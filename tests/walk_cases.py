# SPDX-License-Identifier: Apache-2.0
"""For each plugin what it is called with where each of its calls fails in turn.

A plugin of the register without a case here fails the walk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import chains
from lab import need, run
from netns.bandwidth import helpers as bandwidth
from netns.bridge import helpers as bridge
from netns.dhcp import helpers as dhcp
from netns.dnsname import helpers as dnsname
from netns.dummy import helpers as dummy
from netns.firewall import helpers as firewall
from netns.host_device import helpers as host_device
from netns.ipvlan import helpers as ipvlan
from netns.macvlan import helpers as macvlan
from netns.ptp import helpers as ptp
from netns.sbr import helpers as sbr
from netns.tap import helpers as tap
from netns.tuning import helpers as tuning
from netns.vlan import helpers as vlan
from netns.vrf import helpers as vrf

from cni_common.pool import held

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Answer, Cni, Host, Space

    Document = dict[str, Any]

_THREE = {
    "type": "host-local",
    "ranges": [
        [{"subnet": "10.1.2.0/24"}],
        [{"subnet": "10.1.3.0/24"}],
        [{"subnet": "fd00:1::/64"}],
    ],
    "routes": [{"dst": "192.0.2.0/24", "mtu": 1300}],
}
_ROUTES = [{"dst": "0.0.0.0/0"}, *_THREE["routes"]]
_OWN_CIDR = {"type": "cluster-pool", "podCIDR": "10.64.3.0/26,fd00:64::/112"}
# Each IPv4 block has room for one container.
_TWO_BLOCKS = {
    "type": "cluster-pool",
    "podCIDR": "10.64.3.0/30,10.64.3.4/30,fd00:64::/112",
}
_STATIC = {
    "type": "static",
    "addresses": [{"address": "10.1.2.9/24", "gateway": "10.1.2.1"}],
    "routes": [{"dst": "0.0.0.0/0"}],
}
_DNS = {"nameservers": ["10.1.2.1"]}
_BRIDGE = bridge.conf(
    isDefaultGateway=True,
    ipMasq=True,
    macspoofchk=True,
    hairpinMode=True,
    portIsolation=True,
    mtu=1400,
    ipam=_THREE,
)


@dataclass
class Attachment:
    """A container, the plugins that attached it so far, and what they answered."""

    cni: Cni
    space: Space
    container_id: str
    args: str = ""
    ifname: str = "eth0"
    results: list[Any] = field(default_factory=list)

    def call(self, verb: str, conf: Document, **keys: Any) -> Answer:
        """Return the answer of the plugin that `conf` names, as a runtime asks it."""
        previous = self.results[-1:] if verb in {"ADD", "CHECK", "DEL"} else []
        document = {**conf, **keys}
        if previous:
            document.setdefault("prevResult", previous[0])
        if verb in {"GC", "STATUS"}:
            return self.cni(conf["type"], verb, document)
        return self.cni(
            conf["type"],
            verb,
            document,
            netns=self.space,
            container_id=self.container_id,
            ifname=self.ifname,
            args=self.args,
        )

    def add(self, *confs: Document) -> None:
        """Attach by one plugin after the other."""
        for conf in confs:
            answer = self.call("ADD", conf)
            assert answer.status == 0, (conf["type"], answer.stdout, answer.stderr)
            self.results.append(json.loads(answer.stdout))


@dataclass(frozen=True)
class Case:
    """What a plugin is called with.

    `before` are the plugins of the chain that were called for the container,
    `earlier` is an ADD of the plugin itself that came before, with another
    configuration, and perhaps another prevResult, or with the same one; `neighbour`
    whether another container is attached as well, `repeatable` whether an ADD follows
    one that was killed without a DEL, and `again` puts back what `prepare` has made
    and a DEL leaves changed by design. `kernel` is what of kernel_features not every
    kernel has.
    """

    conf: Document
    label: str = ""
    before: tuple[Document, ...] = ()
    earlier: Document | None = None
    neighbour: bool = False
    repeatable: bool = True
    ifname: str = "eth0"
    args: str = ""
    prepare: Callable[[Host], object] = lambda _: None
    again: Callable[[], object] = lambda: None
    needs: Callable[[], object] = lambda: None
    kernel: str = ""

    @property
    def plugin(self) -> str:
        """The plugin that it is a case of."""
        return str(self.conf["type"])

    def __str__(self) -> str:
        return f"{self.plugin}-{self.label}" if self.label else self.plugin


def _limited(**keys: Any) -> Document:
    conf = chains.conf("bandwidth", 1)
    return {"cniVersion": "1.1.0", "name": conf["name"], "type": "bandwidth", **keys}


def _sbr(**keys: Any) -> Document:
    return {**sbr.NAME, **keys}


def _tuned(**keys: Any) -> Document:
    return {**tuning.NAME, **keys}


def _dropping(variant: str) -> Callable[[Host], object]:
    return lambda _: firewall.drop_forwarded(variant)


def _used_loopback(host: Host) -> None:
    """Have the loopback of the container keep its address, as once it was up."""
    for state in ("up", "down"):
        run("ip", "-n", host.spaces[0].name, "link", "set", "lo", state)


def _used_vrf(host: Host) -> None:
    """Have the rule of the container that its first VRF brings, and that stays."""
    name = host.spaces[0].name
    run("ip", "-n", name, "link", "add", "first", "type", "vrf", "table", "9")
    run("ip", "-n", name, "link", "delete", "first")


def _bridge_of_the_administrator(_: object = None) -> None:
    """Have br0 anew: down, with an address that is no gateway of ours."""
    run("ip", "link", "delete", "br0", check=False)
    run("ip", "link", "add", "br0", "address", "02:00:00:00:b0:01", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")


def _deaf_to_redirects(host: Host) -> None:
    """Have the container take no redirects, as once it was attached; that stays."""
    name = host.spaces[0].name
    for each in ("all", "default"):
        word = f"net.ipv4.conf.{each}.accept_redirects=0"
        run("ip", "netns", "exec", name, "sysctl", "-qw", word)


def _without_second_gateway() -> None:
    """Have br0 without the gateway of the container's block, which stays after DEL."""
    run("ip", "addr", "del", "10.64.3.5/30", "dev", "br0", check=False)


def _held_blocks(_: object) -> None:
    """Hold blocks with so little room that an agent, which is not there, is asked."""
    pools = (ip_network("10.64.0.0/16"), ip_network("fd00:64::/48"))
    blocks = (ip_network("10.64.3.0/28"), ip_network("fd00:64::/124"))
    held.write("net", held.Held(pools, blocks))


def _alone(plugin: str, ipam: Document) -> Document:
    return {"cniVersion": "1.1.0", "name": "net", "type": plugin, "ipam": ipam}


_PORTMAP = chains.conf("portmap", 1)
_FIREWALL = chains.conf("firewall", 1)
_ELSEWHERE = {
    "prevResult": {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "br0"}],
        "ips": [{"address": "10.9.9.9/24"}],
    }
}
_ISOLATED = _FIREWALL | {"ingressPolicy": "isolated"}
_BEHIND = (bridge.conf(ipam=bridge.DUAL),)
_SUBNETS = ["10.9.0.0/16", "fd00:9::/40"]

CASES = (
    Case(_BRIDGE),
    Case(_BRIDGE, "with-neighbour", neighbour=True),
    Case(_BRIDGE | {"ipam": _STATIC, "forceAddress": True}, "static"),
    Case(
        _BRIDGE | {"forceAddress": True, "promiscMode": True, "hairpinMode": False},
        "of-the-administrator",
        prepare=_bridge_of_the_administrator,
        again=_bridge_of_the_administrator,
    ),
    Case(
        bridge.conf(gatewayPerSubnet=True, isDefaultGateway=True, ipam=_TWO_BLOCKS),
        "second-gateway",
        neighbour=True,
        prepare=_deaf_to_redirects,
        again=_without_second_gateway,
    ),
    Case(_PORTMAP, before=_BEHIND),
    Case(_PORTMAP, "with-neighbour", before=_BEHIND, neighbour=True),
    Case(_PORTMAP | {"counters": True}, "counted", before=_BEHIND, neighbour=True),
    Case(_FIREWALL, before=_BEHIND),
    Case(
        _FIREWALL,
        "other-policy",
        before=_BEHIND,
        earlier=_ISOLATED,
        neighbour=True,
    ),
    Case(_ISOLATED, "again", before=_BEHIND, earlier=_ISOLATED, neighbour=True),
    *(
        Case(
            _ISOLATED,
            f"iptables-{variant}",
            before=_BEHIND,
            prepare=_dropping(variant),
            needs=lambda variant=variant: firewall.needs_variant(variant),  # type: ignore[misc]
        )
        for variant in ("nft", "legacy")
    ),
    Case(
        _ISOLATED,
        "iptables-all-others",
        before=_BEHIND,
        earlier=_FIREWALL | _ELSEWHERE | {"iptablesAdminChainName": "EARLIER"},
        neighbour=True,
        prepare=_dropping("nft"),
        needs=lambda: firewall.needs_variant("nft"),
    ),
    Case(_tuned(**tuning.EVERYTHING), before=_BEHIND),
    Case(
        _tuned(**tuning.EVERYTHING),
        "other-values",
        before=_BEHIND,
        earlier=_tuned(mtu=1300, txQLen=5, dataDir="/run/cni/tuning-before"),
    ),
    Case(_limited(**bandwidth.limits()), before=_BEHIND),
    Case(
        _limited(**bandwidth.limits(shapedSubnets=_SUBNETS)),
        "other-limits",
        before=_BEHIND,
        earlier=_limited(**bandwidth.limits(rate=32_000_000)),
    ),
    *(
        Case(
            _limited(**limits),
            label,
            before=_BEHIND,
            earlier=_limited(**bandwidth.limits(shapedSubnets=_SUBNETS)),
        )
        for label, limits in (
            ("received-alone", bandwidth.limits(egressRate=None, egressBurst=None)),
            ("sent-alone", bandwidth.limits(ingressRate=None, ingressBurst=None)),
            ("no-limits", {}),
        )
    ),
    Case(
        dnsname.named(["www"]),
        before=_BEHIND,
        args="IgnoreUnknown=1;K8S_POD_NAME=web",
        needs=lambda: need("dnsmasq"),
    ),
    Case(
        dnsname.named(["www"]),
        "with-neighbour",
        before=_BEHIND,
        neighbour=True,
        args="IgnoreUnknown=1;K8S_POD_NAME=web",
        needs=lambda: need("dnsmasq"),
    ),
    Case(ptp.conf(ipMasq=True, mtu=1400, ipam=_THREE | {"routes": _ROUTES})),
    Case(ptp.conf(ipMasq=True, ipam=ptp.DUAL), "with-neighbour", neighbour=True),
    Case(
        macvlan.conf(
            mode="passthru", mac="02:00:00:00:00:01", mtu=1400, bcqueuelen=2000
        ),
        prepare=lambda host: host.outside(),
    ),
    Case(
        dummy.conf(mac="02:00:00:00:00:01", mtu=1400, ipam=_THREE),
        kernel="dummy",
    ),
    Case(
        ipvlan.conf(mtu=1400, hostReach=True),
        prepare=lambda host: host.outside(),
        kernel="ipvlan",
    ),
    Case(
        ipvlan.conf(hostReach=True),
        "with-neighbour",
        prepare=lambda host: host.outside(),
        neighbour=True,
        kernel="ipvlan",
    ),
    Case(vlan.conf(mtu=1400), prepare=vlan.outside, kernel="802.1q"),
    Case(vlan.beside(), "beside", before=_BEHIND, kernel="802.1q"),
    Case(
        tap.conf(
            multiQueue=True, mac="02:00:00:00:00:01", mtu=1400, owner=1000, group=7
        )
    ),
    Case(host_device.conf(), prepare=host_device.wired),
    Case(
        {"cniVersion": "1.1.0", "name": "lo", "type": "loopback"},
        ifname="lo",
        prepare=_used_loopback,
    ),
    Case(_sbr(addSourceHints=True), before=_BEHIND),
    Case(_sbr(), "other-values", before=_BEHIND, earlier=_sbr(table=300)),
    Case(vrf.NAME, before=_BEHIND, prepare=_used_vrf, kernel="vrf"),
    Case(
        vrf.NAME,
        "other-values",
        before=_BEHIND,
        earlier=vrf.NAME | {"vrfname": "red", "table": 7},
        prepare=_used_vrf,
        kernel="vrf",
    ),
    Case(_alone("host-local", bridge.DUAL), repeatable=False),
    Case(
        _alone("host-local", bridge.DUAL),
        "with-neighbour",
        neighbour=True,
        repeatable=False,
    ),
    Case(_alone("cluster-pool", _OWN_CIDR), repeatable=False),
    Case(
        _alone("cluster-pool", {"type": "cluster-pool"}),
        "of-an-agent",
        prepare=_held_blocks,
        repeatable=False,
    ),
    Case(_alone("static", _STATIC)),
    Case(
        _alone("dhcp", {"type": "dhcp", "daemonSocketPath": dhcp.APART}),
        prepare=dhcp.work,
        needs=lambda: need("dnsmasq"),
    ),
)
