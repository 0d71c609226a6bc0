# SPDX-License-Identifier: Apache-2.0
"""The attachments that are recorded of each release: what plugins are called with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
IPV4 = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}]],
    "routes": [{"dst": "0.0.0.0/0"}],
}
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
BRIDGE = {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": DUAL}
OUTSIDE = {
    "type": "host-local",
    "ranges": [[{"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.100"}]],
    "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.2"}],
}
UNLIMITED = ["192.0.2.0/24", "2001:db8:7::/64"]
LIMITS = {
    "type": "bandwidth",
    "ingressRate": 16_000_000,
    "ingressBurst": 400_000,
    "egressRate": 8_000_000,
    "egressBurst": 200_000,
}


def published(first: int) -> Document:
    """Return portmap with ports of each sort, from `first` on."""
    ports = [
        {"hostPort": first, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": first, "containerPort": 53, "protocol": "udp"},
        {"hostPort": first + 1, "containerPort": 80, "hostIP": "127.0.0.1"},
        {"hostPort": first + 2, "containerPort": 80, "hostIP": "198.51.100.1"},
    ]
    return {"type": "portmap", "runtimeConfig": {"portMappings": ports}}


def tuned(number: int) -> Document:
    """Return tuning with each key that is undone."""
    return {
        "type": "tuning",
        "mac": f"02:00:00:00:00:{number:02x}",
        "mtu": 1400,
        "txQLen": 77,
        "promisc": True,
        "allmulti": True,
        "sysctl": {
            "net.ipv4.conf.IFNAME.arp_filter": "1",
            "net.core.somaxconn": "500",
        },
    }


def named(alias: str) -> Document:
    """Return dnsname with an alias."""
    keys = {"aliases": {"net": [alias]}}
    return {"type": "dnsname", "domainName": "names.internal", "runtimeConfig": keys}


@dataclass(frozen=True)
class Example:
    """The plugins of an attachment, and of another one that comes beside it.

    `device`: the host has devices to lend.
    """

    plugins: tuple[Document, ...]
    beside: tuple[Document, ...] = field(default=())
    device: bool = False


def _firewall(backend: str, policy: str) -> Example:
    keys = {"type": "firewall", "backend": backend, "ingressPolicy": policy}
    return Example(({**BRIDGE, "ipMasq": True}, keys))


def _static(number: int) -> Document:
    addresses = [{"address": f"10.1.2.{number}/24", "gateway": "10.1.2.1"}]
    return {"type": "static", "addresses": addresses, "routes": [{"dst": "0.0.0.0/0"}]}


def _lent(name: str) -> tuple[Document, ...]:
    return ({"type": "host-device", "device": name, "ipam": OUTSIDE},)


def _conditional(first: int) -> tuple[Document, ...]:
    keys = {"conditionsV4": ["iifname", "!=", "eth9"], "excludeInterfaces": ["eth0"]}
    return (BRIDGE, {**published(first), **keys})


_WHOLE = {**BRIDGE, "ipMasq": True, "hairpinMode": True, "macspoofchk": True}
_RULES = {"type": "firewall", "ingressPolicy": "same-bridge"}

EXAMPLES = {
    "bridge": Example(
        ({**BRIDGE, "ipMasq": True, "macspoofchk": True, "hairpinMode": True},)
    ),
    "bridge-isolated": Example(({**BRIDGE, "portIsolation": True, "mtu": 1400},)),
    "bridge-except": Example(
        (
            {
                **BRIDGE,
                "isDefaultGateway": True,
                "ipMasq": True,
                "ipMasqExcept": ["192.0.2.0/24", "2001:db8:7::/64"],
            },
        )
    ),
    "bridge-layer2": Example(
        ({"type": "bridge", "bridge": "br0", "promiscMode": True, "ipam": {}},)
    ),
    "bridge-static": Example(
        ({**BRIDGE, "ipMasq": True, "ipam": _static(2)},),
        ({**BRIDGE, "ipMasq": True, "ipam": _static(3)},),
    ),
    "ptp": Example(({"type": "ptp", "ipMasq": True, "mtu": 1400, "ipam": DUAL},)),
    "macvlan": Example(({"type": "macvlan", "master": "eth0", "ipam": OUTSIDE},)),
    "host-device": Example(_lent("ens5"), _lent("ens6"), device=True),
    "loopback": Example(({"type": "loopback"},)),
    "bandwidth": Example((BRIDGE, LIMITS)),
    "bandwidth-subnets": Example((BRIDGE, {**LIMITS, "unshapedSubnets": UNLIMITED})),
    "tuning": Example((BRIDGE, tuned(0x11)), (BRIDGE, tuned(0x12))),
    "portmap": Example((BRIDGE, published(8080)), (BRIDGE, published(9090))),
    "portmap-conditions": Example(_conditional(8080), _conditional(9090)),
    "firewall-nftables": _firewall("nftables", "same-bridge"),
    "firewall-isolated": _firewall("nftables", "isolated"),
    "firewall-open": _firewall("", "open"),
    "firewall-iptables": _firewall("iptables", "same-bridge"),
    "dnsname": Example((BRIDGE, named("db")), (BRIDGE, named("web"))),
    "chain": Example(
        (_WHOLE, published(8080), _RULES, LIMITS, tuned(0x11)),
        (_WHOLE, published(9090), _RULES, LIMITS, tuned(0x12)),
    ),
}
