# SPDX-License-Identifier: Apache-2.0
"""What the example lists have plugins do, as text: each plan, from fixed facts."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cni_common import saved_device
from cni_common.attachment import chained
from cni_common.kernel.saved_routes import SavedRoute
from cni_common.names import host_names
from cni_common.naming import Attachment
from cni_common.published.claims import Target
from cni_common.spec.model import parse
from cni_common.spec.request import Request
from cni_common.spec.result import IP, Result
from launcher.loading import load
from plugins import REGISTER
from plugins.bandwidth import plugin as bandwidth
from plugins.bridge import plugin as bridge
from plugins.dnsname import location
from plugins.dummy import plugin as dummy
from plugins.firewall import plugin as firewall
from plugins.firewall.conf import Policy
from plugins.host_device import plugin as host_device
from plugins.ipvlan import plugin as ipvlan
from plugins.macvlan import plugin as macvlan
from plugins.ptp import plugin as ptp
from plugins.sbr import plugin as sbr
from plugins.tuning import plugin as tuning
from plugins.vlan import plugin as vlan
from plugins.vrf import plugin as vrf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORTS = [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    {"hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
]
GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = sorted((Path(__file__).parents[3] / "conf-examples").glob("*.conflist"))
OWNER = Attachment("net", "web", "eth0", "/run/netns/web")
ENV = {"CNI_IFNAME": OWNER.ifname}
HOST_MAC, MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"

# What each plugin looks up before it plans, for a configuration of its own.
FACTS: dict[str, Callable[[Any], object]] = {
    "bridge": lambda conf: bridge.Facts(
        bridge=conf.bridge,
        host="veth1",
        host_mac=HOST_MAC,
        mac=MAC,
        mtu=conf.mtu,
        twice=conf.promisc_mode,
    ),
    "bandwidth": lambda _: bandwidth.Facts("veth1", 7, 1500, MAC),
    "dnsname": lambda conf: location.Facts(
        names=tuple(host_names.served(["web"], conf.domain)),
        addresses=(ip_address("10.1.2.3"),),
        links=("br0",),
        servers=(ip_address("10.1.2.1"),),
    ),
    "dummy": lambda conf: dummy.Facts(mac=conf.wanted_mac or MAC),
    "firewall": lambda conf: firewall.Facts(
        addresses=(ip_address("10.1.0.2"), ip_address("fd01::2")),
        links=() if conf.ingress_policy is Policy.OPEN else ("br0",),
        ports=("veth1",),
    ),
    "host-device": lambda conf: host_device.Facts(
        device=saved_device.read({"name": conf.device or "ens5"})
    ),
    "ipvlan": lambda conf: ipvlan.Facts(
        master=conf.master, reach="cnih1" if conf.host_reach else ""
    ),
    "macvlan": lambda conf: macvlan.Facts(
        master=conf.master or "eth1", mac=conf.mac or MAC, asked=bool(conf.mac)
    ),
    "portmap": lambda conf: tuple(
        Target(at, "veth1", conf.conditions()[family])
        for family, at in ((4, "10.1.0.2"), (6, "fd01::2"))
    ),
    "ptp": lambda conf: ptp.Facts(
        host="veth1", host_mac=HOST_MAC, mac=MAC, mtu=conf.mtu
    ),
    "vlan": lambda conf: vlan.Facts(master=conf.master),
    "sbr": lambda _: sbr.Facts(
        index=2,
        ips=(IP(address=ip_interface("10.1.2.3/24"), gateway=ip_address("10.1.2.1")),),
        routes=(SavedRoute.of(2, ip_network("10.1.2.0/24")),),
        tables=(100,),
    ),
    "tap": lambda conf: conf.mac,
    "vrf": lambda _: vrf.Facts(
        index=2, routes=(SavedRoute.of(2, ip_network("10.1.2.0/24")),), table=1
    ),
    "tuning": lambda _: tuning.Facts(
        index=2,
        link={"mac": MAC, "mtu": 1500, "txQLen": 1000, "promisc": False},
        sysctl={},
        link_before={},
        sysctl_before={},
    ),
}


def plans(example: Path, data_dir: Path) -> Iterator[str]:
    """Yield the lines that the plans of a list have, under the names of plugins."""
    listed = json.loads(example.read_text(encoding="utf-8"))
    for conf in listed["plugins"]:
        scheme = load(conf["type"]).scheme
        if scheme is not None:
            keys = {"name": "net", "cniVersion": listed["cniVersion"]}
            yield conf["type"]
            parts = plan(scheme, conf | keys, data_dir)
            yield from (f"  {part}" for part in parts)


def plan(scheme: Any, document: dict[str, Any], data_dir: Path) -> tuple[Any, ...]:
    """Return the parts of a container's attachment with the first free address."""
    if document.get("ipam"):
        document["ipam"] = {**document["ipam"], "dataDir": str(data_dir)}
    if document.get("capabilities", {}).get("portMappings"):
        document["runtimeConfig"] = {"portMappings": PORTS}
    request = Request.read("ADD", ENV, json.dumps(document).encode())
    conf = parse(load(scheme.name).conf, document, "configuration")
    if isinstance(scheme, chained.Scheme):
        previous = {**document, "prevResult": {"cniVersion": document["cniVersion"]}}
        request = Request.read("ADD", ENV, json.dumps(previous).encode())
        wished = scheme.wished(request, conf)
        return scheme.plan(OWNER, wished, FACTS[scheme.name](conf)) if wished else ()
    ipam = load(conf.ipam.type) if conf.ipam.type else None
    leased = Result()
    if ipam is not None and ipam.expect is not None:
        leased = ipam.expect(request, parse(ipam.conf, document, "configuration"))
    result = scheme.settled(conf, leased)
    found: Any = scheme.plan(OWNER, conf, result, FACTS[scheme.name](conf)).parts
    return tuple(found)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_plan_is_as_reviewed(example: Path, tmp_path: Path) -> None:
    """The plans of an example are those of its golden file, so that a change shows."""
    planned = "".join(f"{line}\n" for line in plans(example, tmp_path))
    golden = GOLDEN / f"{example.stem}.txt"
    assert planned == (golden.read_text(encoding="utf-8") if golden.exists() else "")


def test_every_plan_has_facts() -> None:
    """A plugin whose attachments consist of parts is looked at here."""
    assert {name for name in REGISTER if load(name).scheme is not None} == set(FACTS)


def test_no_golden_file_is_left_over() -> None:
    """A golden file belongs to an example."""
    stems = {example.stem for example in EXAMPLES}
    assert [p.name for p in GOLDEN.iterdir() if p.stem not in stems] == []
