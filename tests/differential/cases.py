# SPDX-License-Identifier: Apache-2.0
"""Configurations that both must treat alike; keys that the reference 1.1.1 knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTAINER = "c1"
Document = dict[str, Any]
V4 = [{"subnet": "10.77.0.0/24"}]
V6 = [{"subnet": "fd00:77::/64"}]
DEFAULT = {"dst": "0.0.0.0/0"}


@dataclass(frozen=True)
class Case:
    """A configuration list and what the runtime passes along."""

    name: str
    plugins: list[Document]
    version: str = "1.0.0"
    ifname: str = "eth0"
    args: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def conflist(self) -> Document:
        """The network configuration list."""
        return {
            "cniVersion": self.version,
            "name": "lab",
            "plugins": self.plugins,
        }


def ipam(*ranges: list[Document], **keys: Any) -> Document:
    """Return an ipam section of host-local."""
    return {"type": "host-local", "ranges": list(ranges), **keys}


def bridge(**keys: Any) -> Document:
    """Return a bridge configuration; an IPv4 range unless `ipam` is given."""
    section = keys.pop("ipam", ipam(V4))
    with_ipam = {} if section is None else {"ipam": section}
    return {"type": "bridge", "bridge": "lab0", **with_ipam, **keys}


PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
PORTS = [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    {"hostPort": 5300, "containerPort": 53, "protocol": "udp"},
]
RESOLV = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.test b.test\n"
RESOLV += "domain c.test\noptions ndots:5 rotate\n# a comment\n"

VERSIONS = [
    Case(f"version {version}", [bridge(isGateway=True)], version=version)
    for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
]
BRIDGES = [
    Case("not a gateway", [bridge()]),
    Case("gateway", [bridge(isGateway=True, ipam=ipam(V4, routes=[DEFAULT]))]),
    Case("default gateway", [bridge(isDefaultGateway=True)]),
    Case("dual stack", [bridge(isDefaultGateway=True, ipam=ipam(V4, V6))]),
    Case("IPv6 only", [bridge(isDefaultGateway=True, ipam=ipam(V6))]),
    Case("masquerade", [bridge(isDefaultGateway=True, ipMasq=True)]),
    Case("layer 2", [bridge(ipam=None)]),
    Case("mtu", [bridge(mtu=1400)]),
    Case("hairpin", [bridge(hairpinMode=True)]),
    Case("promiscuous", [bridge(promiscMode=True)]),
    Case("other interface name", [bridge()], ifname="net1"),
    Case("two addresses", [bridge(ipam=ipam(V4, [{"subnet": "10.78.0.0/24"}]))]),
    Case(
        "routes",
        [
            bridge(
                ipam=ipam(
                    V4,
                    routes=[
                        {"dst": "192.0.2.0/24"},
                        {"dst": "198.51.100.0/24", "gw": "10.77.0.9"},
                    ],
                )
            )
        ],
    ),
    Case(
        "dns of the configuration",
        [bridge(dns={"nameservers": ["192.0.2.53"], "search": ["x.test"]})],
    ),
]
MAC = "02:00:00:00:00:11"
REQUESTS = [
    Case("MAC in CNI_ARGS", [bridge()], args=f"IgnoreUnknown=1;MAC={MAC}"),
    Case("MAC in args", [bridge(args={"cni": {"mac": MAC}})]),
    Case(
        "MAC in runtimeConfig",
        [
            bridge(
                capabilities={"mac": True}, args={"cni": {"mac": "02:00:00:00:00:22"}}
            )
        ],
        capabilities={"mac": MAC},
    ),
    Case("address in CNI_ARGS", [bridge()], args="IgnoreUnknown=1;IP=10.77.0.50"),
    Case("address in args", [bridge(args={"cni": {"ips": ["10.77.0.51"]}})]),
    Case(
        "addresses in runtimeConfig",
        [bridge(capabilities={"ips": True}, ipam=ipam(V4, V6))],
        capabilities={"ips": ["10.77.0.52", "fd00:77::52/64"]},
    ),
    Case(
        "ranges in runtimeConfig",
        [bridge(capabilities={"ipRanges": True})],
        capabilities={"ipRanges": [[{"subnet": "10.79.0.0/24"}]]},
    ),
]
POOLS = [
    Case(
        "legacy range", [bridge(ipam={"type": "host-local", "subnet": "10.76.0.0/28"})]
    ),
    Case(
        "start and end",
        [
            bridge(
                isGateway=True,
                ipam=ipam(
                    [
                        {
                            "subnet": "10.77.0.0/24",
                            "rangeStart": "10.77.0.100",
                            "rangeEnd": "10.77.0.110",
                            "gateway": "10.77.0.254",
                        }
                    ]
                ),
            )
        ],
    ),
    Case("a set of two", [bridge(ipam=ipam([*V4, {"subnet": "10.75.0.0/24"}]))]),
    Case("other dataDir", [bridge(ipam=ipam(V4, dataDir="/run/lab/leases"))]),
]
PUBLISHED = [
    Case(
        f"published {name}",
        [
            bridge(isDefaultGateway=True, ipMasq=True, hairpinMode=True),
            {**PORTMAP, **keys},
        ],
        capabilities={"portMappings": PORTS},
    )
    for name, keys in {
        "ports": {},
        "ports without snat": {"snat": False},
        "ports, all masqueraded": {"masqAll": True},
    }.items()
]
TUNED = [
    Case(f"tuned {name}", [bridge(), {"type": "tuning", **keys}])
    for name, keys in (
        ("with nothing", {}),
        ("MAC and MTU", {"mac": MAC, "mtu": 1400}),
        ("flags", {"promisc": True, "allmulti": True}),
        ("parameter", {"sysctl": {"net.ipv4.conf.eth0.arp_notify": "0"}}),
        ("args", {"mtu": 1400, "args": {"cni": {"mtu": 1300, "promisc": True}}}),
        ("placeholder", {"sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "0"}}),
    )
]
CASES = [*VERSIONS, *BRIDGES, *REQUESTS, *POOLS, *PUBLISHED, *TUNED]
