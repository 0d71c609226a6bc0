# SPDX-License-Identifier: Apache-2.0
"""`cnipy why` names where a packet ends, in nodes that are broken in forty ways."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import private_firewalld
import pytest
from lab import PATIENCE, ip, lacking, need, run
from netns.cnipy.helpers import BRIDGE, PORTMAP, Desk
from netns.firewall.helpers import needs_variant
from warm_server import wait_until

from cni_common import firewalld, system_bus
from cni_common.kernel import netns, netns_identity, nft_trace, sightings
from cnipy.attachment import container_id_of
from cnipy.containers import Containers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Cni, Host, Space

OUTSIDE, NODE = "198.51.100.2", "198.51.100.1"
OTHER: dict[str, Any] = {
    **BRIDGE,
    "bridge": "br1",
    "ipam": {
        "type": "host-local",
        "subnet": "10.8.0.0/24",
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}
SERVER = """
import socket, sys, threading
server = socket.create_server((sys.argv[1], int(sys.argv[2])),
    family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET,
    dualstack_ipv6=":" in sys.argv[1])
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""


@dataclass
class Stage:
    """A node with an uplink, containers by what they are for, and an operator."""

    desk: Desk
    host: Host
    outside: Space
    spaces: dict[str, Space] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def network(self, name: str, *plugins: dict[str, Any]) -> None:
        """Have a network."""
        self.desk.network(name, *plugins)

    def container(self, name: str, network: str = "n", **options: Any) -> Space:
        """Have a container attached."""
        space = self.host.space()
        result = self.desk.attach(network, space, **options)
        self.spaces[name] = space
        self.addresses[name] = [
            each["address"].partition("/")[0] for each in result["ips"]
        ]
        return space

    def addresses_of(self, space: Space, prefix: str) -> list[str]:
        """Return the addresses of a namespace that begin so."""
        links = json.loads(
            run("ip", "netns", "exec", space.name, "ip", "-j", "address")
        )
        held = (info["local"] for link in links for info in link["addr_info"])
        return [each for each in held if each.startswith(prefix)]

    def serve(self, space: Space | None, port: int = 80, at: str = "::") -> None:
        """Have something listen in a namespace, of both families unless told."""
        prefix = ["ip", "netns", "exec", space.name] if space else []
        words = [*prefix, sys.executable, "-c", SERVER, at, str(port)]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def pair(self, *plugins: dict[str, Any]) -> None:
        """Have web, which serves port 80 and publishes it as 8080, and app."""
        self.network("n", *(plugins or (BRIDGE, PORTMAP)))
        web = self.container("web", ports=[8080])
        self.container("app")
        self.serve(web)

    def why(self, source: str, target: str, *options: str) -> dict[str, Any]:
        """Return what the command says; nothing of it stays on the node."""
        named = self.spaces.get(source, self.outside if source == "beyond" else None)
        before = state_of_node()
        words = (named.name if named else source, target, *options)
        status, stdout, stderr = self.desk("why", *words, "--json")
        assert stderr == ""
        told: dict[str, Any] = json.loads(stdout)
        assert status == int(not told["reaches"])
        assert state_of_node() == before
        return told

    @contextmanager
    def at(self, source: str) -> Iterator[None]:
        """Have the test itself where packets are sent from."""
        if source == "host":
            yield
            return
        space = self.spaces.get(source, self.outside)
        with space.entered():
            yield


def state_of_node() -> tuple[str, ...]:
    """Return tables of rules, links, and what is at their entrances."""
    links = " ".join(sorted(link["ifname"] for link in ip("link")))
    return run("nft", "list", "tables"), links, run("tc", "qdisc", "show")


@pytest.fixture
def stage(host: Host, cni: Cni, tmp_path: Path) -> Iterator[Stage]:
    """A node whose uplink is eth0, and somebody outside; no containers yet."""
    outside = host.outside()
    run("ip", "route", "add", "default", "via", OUTSIDE)
    run("ip", "route", "add", "default", "via", "2001:db8:99::2")
    if Path("/proc/sys/net/bridge").exists():
        run("sysctl", "-w", "net.bridge.bridge-nf-call-iptables=0")
    made = Stage(Desk(host, cni, tmp_path), host, outside)
    yield made
    for server in made.servers:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()


@dataclass(frozen=True)
class Case:
    """A way in which a packet does not arrive, and what is to be said of it."""

    set_up: Callable[[Stage], None]
    source: str
    target: str
    cause: str
    phrases: tuple[str, ...]
    options: tuple[str, ...] = ()
    where: str = ""


CASES: dict[str, Case] = {}


def case(
    source: str,
    target: str,
    cause: str,
    *phrases: str,
    options: tuple[str, ...] = (),
    where: str = "",
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Have a function set up a case: who asks for what, and why that fails."""

    def registered(set_up: Callable[[Stage], None]) -> Callable[[Stage], None]:
        name = set_up.__name__
        CASES[name] = Case(set_up, source, target, cause, phrases, options, where)
        return set_up

    return registered


def hook(family: str, name: str, at: str, *rules: str, policy: str = "accept") -> None:
    """Have a table of the administrator with one chain at a hook, and its rules."""
    run("nft", f"add table {family} {name}")
    kind = f"{{ type filter hook {at} priority 0; policy {policy}; }}"
    run("nft", f"add chain {family} {name} mine {kind}")
    for rule in rules:
        run("nft", f"add rule {family} {name} mine {rule}")


# Set-ups of the doctor, as far as they concern packets.


@case("app", "198.51.100.2", "dropped", "ip filter FORWARD", "policy is drop")
def forward_policy(stage: Stage) -> None:
    stage.pair()
    needs_variant("nft")
    run("iptables-nft", "-P", "FORWARD", "DROP")


@case("beyond", f"{NODE}:8080", "dropped", "ufw-before-forward", "drop")
def ufw(stage: Stage) -> None:
    stage.pair()
    needs_variant("nft")
    run("iptables-nft", "-N", "ufw-before-forward")
    run("iptables-nft", "-A", "FORWARD", "-j", "ufw-before-forward")
    run("iptables-nft", "-A", "ufw-before-forward", "-j", "DROP")


@case("beyond", f"{NODE}:8080", "not-published", "", where="the host")
def rules_flushed(stage: Stage) -> None:
    stage.pair()
    run("nft", "flush", "ruleset")


@case("app", "198.51.100.2", "not-masqueraded", "no way back", "ipMasq")
def masquerade_flushed(stage: Stage) -> None:
    stage.pair()
    run("nft", "delete", "table", "inet", "cnipy_masquerade")


@case("app", "198.51.100.2", "not-forwarded", "net/ipv4/ip_forward is 0")
def forwarding_off(stage: Stage) -> None:
    stage.pair()
    run("sysctl", "-w", "net.ipv4.ip_forward=0")


@case("app", "198.51.100.2", "not-forwarded", "net/ipv4/conf/br0/forwarding is 0")
def forwarding_off_at_a_link(stage: Stage) -> None:
    stage.pair()
    run("sysctl", "-w", "net.ipv4.conf.br0.forwarding=0")


@case("app", "198.51.100.2", "reverse-path", "br0", "rp_filter")
def strict_reverse_path(stage: Stage) -> None:
    stage.pair()
    address = stage.addresses["app"][0]
    run("ip", "route", "add", f"{address}/32", "dev", "eth0")
    run("sysctl", "-w", "net.ipv4.conf.all.rp_filter=0")
    run("sysctl", "-w", "net.ipv4.conf.br0.rp_filter=1")


@case("second", "192.0.2.1:8080", "reverse-path", "up1", "eth0")
def strict_reverse_path_of_a_second_uplink(stage: Stage) -> None:
    stage.pair()
    second = stage.spaces["second"] = stage.host.space()
    run("ip", "link", "add", "up1", "type", "veth", "peer", "up1", "netns", second.name)
    run("ip", "address", "add", "192.0.2.1/24", "dev", "up1")
    run("ip", "link", "set", "up1", "up")
    second.run("ip", "address", "add", "203.0.113.9/32", "dev", "lo")
    second.run("ip", "link", "set", "lo", "up")
    second.run("ip", "link", "set", "up1", "up")
    route = ("192.0.2.0/24", "dev", "up1", "src", "203.0.113.9")
    second.run("ip", "route", "add", *route)
    run("sysctl", "-w", "net.ipv4.conf.all.rp_filter=0")
    run("sysctl", "-w", "net.ipv4.conf.up1.rp_filter=1")


@case("app", f"{NODE}:8080", "isolated", "isolated port")
def bridged_filter_and_isolated_ports(stage: Stage) -> None:
    if not Path("/proc/sys/net/bridge").exists():
        lacking("the kernel has no br_netfilter")
    stage.pair({**BRIDGE, "portIsolation": True}, PORTMAP)
    run("sysctl", "-w", "net.bridge.bridge-nf-call-iptables=1")


@case("host", "web:80", "no-neighbour", "nobody on lan", "10.9.0.2")
def subnet_overlap(stage: Stage) -> None:
    stage.pair()
    run("ip", "link", "add", "lan", "type", "veth", "peer", "lanp")
    run("ip", "link", "set", "lan", "up")
    run("ip", "link", "set", "lanp", "up")
    run("ip", "address", "add", "10.9.0.77/25", "dev", "lan")


@case("app", "198.51.100.2", "too-big", "1400 bytes", options=("--size", "1480"))
def smaller_uplink(stage: Stage) -> None:
    stage.pair()
    run("ip", "link", "set", "eth0", "mtu", "1400")


@case("app", "fd09::1", "no-neighbour", "fd09::1")
def ipv6_off_on_the_bridge(stage: Stage) -> None:
    stage.pair()
    run("sysctl", "-w", "net.ipv6.conf.br0.disable_ipv6=1")


@case("app", "10.9.0.1:53/udp", "nobody-listens", "10.9.0.1:53", where="the host")
def dead_dnsmasq(stage: Stage) -> None:
    need("dnsmasq")
    stage.pair(BRIDGE, PORTMAP, {"type": "dnsname", "domainName": "dns.test"})
    pid = int(Path("/run/cni/cnipy/dnsname-servers/n/pid").read_text())
    os.kill(pid, signal.SIGKILL)
    # Its sockets are closed later than all else of it goes.
    wait_until(lambda: not run("ss", "-Hlun", "sport = :53"))


@case("beyond", f"{NODE}:8080", "no-neighbour", "nobody on br0", "10.9.0.2")
def stale_port_of_a_dead_container(stage: Stage) -> None:
    stage.pair()
    stage.servers[0].kill()
    stage.servers[0].wait()
    stage.spaces["web"].delete()
    time.sleep(0.5)
    run("ip", "neighbour", "flush", "dev", "br0")


# Packets.


@case("app", "web:81", "nobody-listens", "10.9.0.2:81")
def wrong_port(stage: Stage) -> None:
    stage.pair()


@case("app", "web:82", "nobody-listens", "10.9.0.2:82")
def listens_on_its_loopback_alone(stage: Stage) -> None:
    stage.pair()
    stage.spaces["web"].run("ip", "link", "set", "lo", "up")
    stage.serve(stage.spaces["web"], 82, "127.0.0.1")


@case("app", "web:53/udp", "nobody-listens", "(udp)")
def nobody_listens_for_udp(stage: Stage) -> None:
    stage.pair()


@case("app", "host:9999", "nobody-listens", ":9999", where="the host")
def nobody_listens_on_the_host(stage: Stage) -> None:
    stage.pair()


@case("app", "198.51.100.2", "dropped", "ip daddr 198.51.100.2 drop", "inet mine mine")
def table_of_an_administrator(stage: Stage) -> None:
    stage.pair()
    hook("inet", "mine", "forward", "ip daddr 198.51.100.2 drop")


@case("app", "host:22", "dropped", "tcp dport 22 drop")
def input_of_the_host(stage: Stage) -> None:
    stage.pair()
    stage.serve(None, 22)
    hook("ip", "mine", "input", "tcp dport 22 drop")


@case("app", "web:80", "dropped", "tcp dport 80 drop", "bridge mine mine")
def table_of_the_family_bridge(stage: Stage) -> None:
    stage.pair()
    hook("bridge", "mine", "prerouting", "ip daddr 10.9.0.2 tcp dport 80 drop")


@case("app", "198.51.100.2", "dropped", "prerouting", "drop")
def dropped_before_routing(stage: Stage) -> None:
    stage.pair()
    hook("ip", "prerouting", "prerouting", "ip saddr 10.9.0.0/24 drop")


@case("app", "10.8.0.2:80", "dropped", "cnipy_firewall", "ingressPolicy")
def isolated_network(stage: Stage) -> None:
    policy = {"type": "firewall", "ingressPolicy": "same-bridge"}
    stage.pair(BRIDGE, PORTMAP, policy)
    stage.network("m", OTHER, policy)
    stage.serve(stage.container("other", "m"))


@case("app", "web:80", "dropped", "bridge cnipy_firewall", "ingressPolicy")
def isolated_containers(stage: Stage) -> None:
    policy = {"type": "firewall", "ingressPolicy": "isolated"}
    stage.pair(BRIDGE, PORTMAP, policy)


@case("app", "web:80", "isolated", "isolated port", "portIsolation")
def isolated_ports(stage: Stage) -> None:
    stage.pair({**BRIDGE, "portIsolation": True}, PORTMAP)


@case("beyond", f"{NODE}:8080", "no-route-back", "no route to 198.51.100.2")
def no_route_back(stage: Stage) -> None:
    stage.pair()
    stage.spaces["web"].run("ip", "route", "delete", "default")


@case("web", f"{NODE}:8080", "reverse-path", "address of its own")
def hairpin_without_masquerading(stage: Stage) -> None:
    stage.pair(BRIDGE, {**PORTMAP, "snat": False})


@case("web", f"{NODE}:8080", "hairpin", "10.9.0.2 is where it came from", "hairpinMode")
def hairpin_on_a_bridge(stage: Stage) -> None:
    if not Path("/proc/sys/net/bridge").exists():
        lacking("the kernel has no br_netfilter")
    stage.pair()
    run("sysctl", "-w", "net.bridge.bridge-nf-call-iptables=1")


@case("app", "[2001:db8:99::2]:80", "no-address", "no IPv6 address")
def another_family(stage: Stage) -> None:
    stage.network("n", OTHER, PORTMAP)
    stage.container("app")


@case("app", "web:80", "dropped", "cnipy_spoofcheck", "macspoofchk")
def spoof_guard(stage: Stage) -> None:
    stage.pair({**BRIDGE, "macspoofchk": True}, PORTMAP)
    app = stage.spaces["app"]
    app.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")


@case("app", "10.9.0.77:80", "no-neighbour", "nobody on eth0", "10.9.0.77")
def address_that_nobody_has(stage: Stage) -> None:
    stage.pair()


@case("app", "198.51.100.2", "no-neighbour", "the gateway 10.9.0.99")
def wrong_gateway(stage: Stage) -> None:
    stage.pair()
    route = ("route", "replace", "default", "via", "10.9.0.99")
    stage.spaces["app"].run("ip", *route)


@case("app", "web:80", "link-down", "eth0 is down")
def link_down_inside(stage: Stage) -> None:
    stage.pair()
    stage.spaces["app"].run("ip", "link", "set", "eth0", "down")


@case("app", "web:80", "link-down", "br0, the bridge of", "is down", where="the host")
def bridge_down(stage: Stage) -> None:
    stage.pair()
    run("ip", "link", "set", "br0", "down")


@case("app", "web:80", "link-down", "br0, the bridge of", "is down", where="the host")
def bridge_down_behind_a_known_neighbour(stage: Stage) -> None:
    stage.pair()
    (link,) = stage.spaces["web"].ip("link", "show", "eth0")
    known = ("lladdr", link["address"], "dev", "eth0", "nud", "permanent")
    for address in stage.addresses["web"]:
        stage.spaces["app"].run("ip", "neighbour", "replace", address, *known)
    run("ip", "link", "set", "br0", "down")


@case("app", "web:80", "link-down", "no carrier")
def link_down_on_the_host(stage: Stage) -> None:
    stage.pair()
    run("ip", "link", "set", port_of(stage, "app"), "down")


def port_of(stage: Stage, name: str) -> str:
    """Return the host's end of a container's link."""
    (link,) = stage.spaces[name].ip("link", "show", "eth0")
    (found,) = [x for x in ip("link") if x["ifindex"] == link["link_index"]]
    return str(found["ifname"])


@case("app", "198.51.100.2", "no-route", "no route to 198.51.100.2")
def no_default_route(stage: Stage) -> None:
    stage.pair()
    stage.spaces["app"].run("ip", "route", "delete", "default")


@case("beyond", f"{NODE}:8080", "not-published", "only if", "203.0.113.0")
def published_under_a_condition(stage: Stage) -> None:
    conditions = {"conditionsV4": ["-s", "203.0.113.0/24"]}
    stage.pair(BRIDGE, {**PORTMAP, **conditions})


@case("beyond", f"{NODE}:8080", "not-published", "on 203.0.113.1 alone")
def published_on_one_address(stage: Stage) -> None:
    run("ip", "address", "add", "203.0.113.1/32", "dev", "eth0")
    stage.network("n", BRIDGE, PORTMAP)
    stage.serve(stage.container("web", ports=[8080], host_ip="203.0.113.1"))


@case("beyond", "web:80", "dropped", "its answer", "ct state invalid")
def answer_of_an_invalid_state(stage: Stage) -> None:
    stage.pair()
    stage.outside.run("ip", "route", "add", "10.9.0.0/24", "via", NODE)
    run("nft", "add table ip untracked")
    kind = "{ type filter hook prerouting priority -300; }"
    run("nft", f"add chain ip untracked before {kind}")
    run("nft", "add rule ip untracked before iifname eth0 notrack")
    hook("ip", "mine", "forward", "ct state invalid drop")


@case("app", "198.51.100.2", "wrong-neighbour", "another MAC")
def wrong_neighbour(stage: Stage) -> None:
    stage.pair()
    mac = ("lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent")
    run("ip", "-n", stage.spaces["app"].name, "neigh", "replace", "10.9.0.1", *mac)


@case("app", "2001:db8:99::2", "not-forwarded", "net/ipv6/conf/all/forwarding is 0")
def ipv6_forwarding_off(stage: Stage) -> None:
    stage.pair()
    run("sysctl", "-w", "net.ipv6.conf.all.forwarding=0")


@case("app", "203.0.113.7", "no-route", "blackhole", where="the host")
def blackhole(stage: Stage) -> None:
    stage.pair()
    run("ip", "route", "add", "blackhole", "203.0.113.0/24")


@case("app", "web:80", "dropped", "tcp dport 80 drop", "in ctr-")
def dropped_inside_of_the_target(stage: Stage) -> None:
    stage.pair()
    with stage.spaces["web"].entered():
        hook("inet", "mine", "input", "tcp dport 80 drop")


@case("app", "web:80", "dropped", "tcp dport 80 drop", "in ctr-")
def dropped_inside_of_the_source(stage: Stage) -> None:
    stage.pair()
    with stage.spaces["app"].entered():
        hook("inet", "mine", "output", "tcp dport 80 drop")


@case("beyond", f"{NODE}:8080", "dropped", "its answer", "tcp sport 80 drop")
def answer_dropped(stage: Stage) -> None:
    stage.pair()
    hook("inet", "mine", "forward", "tcp sport 80 drop")


@case("app", "198.51.100.2:25", "refused-beyond", "198.51.100.2 refuses")
def refused_beyond(stage: Stage) -> None:
    stage.pair()


@case("app", "198.51.100.2:25", "lost-beyond", "nothing came back", "198.51.100.1")
def dropped_beyond(stage: Stage) -> None:
    stage.pair()
    with stage.outside.entered():
        hook("inet", "mine", "input", "tcp dport 25 drop")


@case("app", "198.51.100.2", "not-masqueraded", "ipMasq")
def not_masqueraded(stage: Stage) -> None:
    stage.pair({**BRIDGE, "ipMasq": False}, PORTMAP)


@case("app", "198.51.100.77", "no-neighbour", "198.51.100.77", where="the host")
def nobody_beyond(stage: Stage) -> None:
    stage.pair()


# The same as a packet that is put in where somebody outside would send it.


@case("outside", f"{NODE}:8080", "dropped", "ip filter FORWARD", "policy is drop")
def forward_policy_for_somebody_outside(stage: Stage) -> None:
    stage.pair()
    needs_variant("nft")
    run("iptables-nft", "-P", "FORWARD", "DROP")


@case("app", "198.51.100.2", "dropped-untraced", "hook forward", "iptables-legacy")
def policy_of_the_other_iptables(stage: Stage) -> None:
    stage.pair()
    needs_variant("legacy")
    run("iptables-legacy", "-P", "FORWARD", "DROP")


@case("app", "host:22", "dropped-untraced", "hook input", "iptables-legacy")
def rule_of_the_other_iptables(stage: Stage) -> None:
    stage.pair()
    needs_variant("legacy")
    stage.serve(None, 22)
    run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")


@case("outside", f"{NODE}:8081", "nobody-listens", ":8081", where="the host")
def unpublished_port(stage: Stage) -> None:
    stage.pair()


@case("outside", f"{NODE}:8080", "not-published", "only if", "198.51.100.0")
def condition_that_somebody_outside_does_not_meet(stage: Stage) -> None:
    conditions = {"conditionsV4": ["-s", "198.51.100.0/24"]}
    stage.pair(BRIDGE, {**PORTMAP, **conditions})


@case("outside", f"{NODE}:8080", "dropped", "ip saddr 203.0.113.0/24 drop")
def somebody_outside_is_kept_out(stage: Stage) -> None:
    stage.pair()
    hook("ip", "mine", "prerouting", "iifname eth0 ip saddr 203.0.113.0/24 drop")


@case("192.0.2.9", f"{NODE}:8080", "no-route-back", "no route to 192.0.2.9")
def container_has_no_way_back_outside(stage: Stage) -> None:
    stage.pair()
    web = stage.spaces["web"]
    web.run("ip", "route", "add", "blackhole", "192.0.2.0/24")


# Nobody of the tests has the address from which these are sent.
OF_OTHERS = (
    condition_that_somebody_outside_does_not_meet,
    somebody_outside_is_kept_out,
    container_has_no_way_back_outside,
)


@pytest.mark.parametrize("name", CASES)
def test_cause_is_named(stage: Stage, name: str) -> None:
    """A packet that does not get through has its cause named, with a way out."""
    told_of = CASES[name]
    told_of.set_up(stage)
    told = stage.why(told_of.source, target_of(stage, told_of.target), *told_of.options)
    cause = told["cause"]
    assert cause is not None, told
    assert cause["name"] == told_of.cause, json.dumps(told, indent=1)
    text = json.dumps([cause, told["text"]]).replace('\\"', '"')
    assert [x for x in told_of.phrases if x not in text] == [], text
    assert cause["change"]
    assert told_of.where in {"", cause["where"]}
    if told_of.set_up not in OF_OTHERS:
        assert not gets_through(stage, told_of.source, told)


def target_of(stage: Stage, target: str) -> str:
    """Return a target with the name of the namespace for that of the case."""
    name, colon, rest = target.partition(":")
    space = stage.spaces.get(name)
    return f"{space.name}{colon}{rest}" if space else target


def gets_through(stage: Stage, source: str, told: dict[str, Any]) -> bool:
    """Tell whether a connection of the test itself is taken, or an echo answered."""
    with stage.at(source):
        if told["cause"]["name"] == "too-big":  # the kernel keeps what it was told
            return "mtu 1400" not in run("ip", "route", "get", told["target"])
        if told["protocol"] == "icmp":
            command = [need("busybox"), "ping", "-c1", f"-W{PATIENCE:.0f}"]
            command.append(told["target"])
            ended = subprocess.run(command, capture_output=True, check=False)
            return ended.returncode == 0
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[told["protocol"]]
        family = socket.AF_INET6 if ":" in told["target"] else socket.AF_INET
        with socket.socket(family, kind) as client:
            client.settimeout(PATIENCE)
            try:
                client.connect((told["target"], told["port"]))
                if kind == socket.SOCK_DGRAM:
                    client.send(b"?")
                    client.recv(1)
            except OSError:
                return False
            return True


ALL_IS_WELL = (
    ("app", "web:80"),
    ("app", "[fd09::2]:80"),
    ("app", "web"),
    ("app", "fd09::2"),
    ("host", "web:80"),
    ("host", "web"),
    ("app", f"{NODE}:8080"),
    ("web", f"{NODE}:8080"),
    ("beyond", f"{NODE}:8080"),
    ("outside", f"{NODE}:8080"),
    (OUTSIDE, f"{NODE}:8080"),
    ("outside", "host:22"),
    ("outside", "host"),
    ("outside", "[2001:db8:99::1]:8080"),
    ("outside", "2001:db8:99::1"),
    ("host", "127.0.0.1:8080"),
    ("app", OUTSIDE),
    ("app", "host:22"),
    ("beyond", "host:22"),
)


@pytest.mark.parametrize("filtered", ["0", "1"])
@pytest.mark.parametrize(("source", "target"), ALL_IS_WELL)
def test_what_gets_through(
    stage: Stage, source: str, target: str, filtered: str
) -> None:
    """What is well is said to be, whoever asks, with br_netfilter or without."""
    if not Path("/proc/sys/net/bridge").exists():
        lacking("the kernel has no br_netfilter")
    for family in ("ip", "ip6"):
        run("sysctl", "-w", f"net.bridge.bridge-nf-call-{family}tables={filtered}")
    # With br_netfilter a container reaches itself by its own port in hairpin mode.
    stage.pair({**BRIDGE, "hairpinMode": True}, PORTMAP)
    stage.serve(None, 22)
    told = stage.why(source, target_of(stage, target))
    assert told["cause"] is None, told
    assert told["outcome"] == "answered"
    assert told["way"]


def test_reject_of_firewalld(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What firewalld forgot at a reload is its reject, in its own table."""
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    monkeypatch.setattr(firewalld, "SECONDS", firewalld.SECONDS * PATIENCE)
    with (
        private_firewalld.system_bus(tmp_path),
        private_firewalld.running(tmp_path) as firewall,
    ):
        stage.pair(BRIDGE, PORTMAP, {"type": "firewall"})
        assert stage.why("app", OUTSIDE)["cause"] is None
        firewall.reload()
        cause = stage.why("app", OUTSIDE)["cause"]
        assert cause["name"] == "dropped"
        assert "inet firewalld" in cause["text"]
        assert "reject" in cause["rule"]


@pytest.mark.parametrize("target", ["web:80", "198.51.100.2", f"{NODE}:8080"])
def test_link_without_a_bridge(stage: Stage, target: str) -> None:
    """Containers that the host routes to one by one are followed alike."""
    ptp = {"type": "ptp", "ipMasq": True, "ipam": BRIDGE["ipam"]}
    stage.pair(ptp, PORTMAP)
    assert stage.why("app", target_of(stage, target))["cause"] is None


def test_neighbours_of_the_node(stage: Stage) -> None:
    """A container on the local network itself is followed as far as one can see."""
    ipam = {"type": "static", "addresses": [{"address": "198.51.100.9/24"}]}
    stage.network("n", {"type": "macvlan", "master": "eth0", "ipam": ipam})
    stage.container("app")
    assert stage.why("app", OUTSIDE)["cause"] is None
    assert stage.why("app", f"{OUTSIDE}:25")["cause"]["name"] == "refused-beyond"
    assert stage.why("app", "198.51.100.77")["cause"]["name"] == "no-neighbour"
    # The kernel lets a macvlan and its master exchange nothing.
    assert stage.why("app", NODE)["reaches"] is False


def test_only_who_was_given_the_address_is_opened(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results tell who it is, so that the other containers are left alone."""
    stage.pair()
    stage.container("other")
    opened: list[str] = []

    def open_path(path: str) -> netns.Namespace:
        if path != netns_identity.OWN:
            opened.append(path)
        return really(path)

    really = netns.open_path
    monkeypatch.setattr(netns, "open_path", open_path)
    told = stage.why("app", stage.addresses["web"][0])
    assert told["cause"] is None, told
    assert set(opened) == {stage.spaces[each].path for each in ("app", "web")}
    opened.clear()
    assert stage.why("app", f"{OUTSIDE}:25")["cause"]["name"] == "refused-beyond"
    assert set(opened) == {stage.spaces["app"].path}


def test_address_that_was_given_by_hand(stage: Stage) -> None:
    """An address that no result tells of is found, too, on a link to containers."""
    stage.pair()
    stage.spaces["web"].ip("address", "add", "10.9.0.77/24", "dev", "eth0")
    told = stage.why("app", "10.9.0.77:80")
    assert told["cause"] is None, told
    places = [each["where"] for each in told["way"]]
    assert "in the host" in places
    assert len([place for place in places if place.startswith("in ")]) == 3


def test_neighbour_is_asked_where_it_is_one(stage: Stage) -> None:
    """Of a container on several networks it is the address on the source's own."""
    stage.network("n", BRIDGE)
    stage.network("m", OTHER)
    web = stage.container("web", "m")
    stage.desk.attach("n", web, ifname="eth1")
    stage.serve(web)
    inside = {
        network: stage.addresses_of(web, prefix)
        for network, prefix in (("m", "10.8.0."), ("n", "10.9.0."))
    }
    for network, (address,) in inside.items():
        stage.container("app", network)
        told = stage.why("app", f"{web.name}:80")
        assert (told["target"], told["cause"]) == (address, None)
    route = ["ip", "-j", "route", "get", inside["m"][0]]
    (other_way,) = json.loads(
        run("ip", "netns", "exec", stage.spaces["app"].name, *route)
    )
    assert "gateway" in other_way


def test_container_by_the_way_is_called_as_the_runtime_does(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the address that a port leads to has its ID, and its name."""
    stage.pair()
    web = container_id_of(stage.spaces["web"].path)
    monkeypatch.setattr(Containers, "names", lambda _: {web: ("ns/web", "web")})
    told = stage.why("app", f"{NODE}:8080")
    assert told["cause"] is None, told
    assert f"in {web} (web)" in [each["where"] for each in told["way"]]


def test_bursts_have_room(host: Host) -> None:
    """What a full bridge has of one question waits, beyond the limit of the node.

    Each of 1023 ports hears it, and each chain tells of it there: some 16 MiB.
    """
    del host
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        # What the node allows, whose parameter not every kernel has in a namespace.
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 30)
        limit = asking.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    with nft_trace.listening() as traced, sightings.opened(6, 1) as seen:
        for opened in (traced, seen):
            room = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            assert room > max(limit, 1 << 24)


def test_datagram_that_arrives(stage: Stage) -> None:
    """To UDP nobody need answer: what was delivered has arrived."""
    stage.pair()
    with stage.spaces["web"].entered():
        server = socket.socket(type=socket.SOCK_DGRAM)
        server.bind(("", 5000))
    with server:
        told = stage.why("app", target_of(stage, "web:5000/udp"))
        assert told["cause"] is None
        assert told["outcome"] == "silent"
        assert server.recv(1) == b""


def test_killed_question_leaves_nothing(stage: Stage) -> None:
    """Where the process is killed, its rules are gone; those without owner, later."""
    stage.pair()
    run("nft", "add table inet cnipy_why_4194305")
    assert stage.desk("why", stage.spaces["app"].name, OUTSIDE)[0] == 0
    assert "cnipy_why" not in run("nft", "list", "tables")
    code = (
        "import os, time\n"
        "from cni_common.kernel.stations import Stations, matches\n"
        "made = Stations(matches('tcp', 5))\n"
        "os.system('nft list tables')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    top = str(Path(__file__).parents[3])
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": top},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "inet cnipy_why" in ended.stdout
    assert "bridge cnipy_why" in ended.stdout
    wait_until(lambda: "cnipy_why" not in run("nft", "list", "tables"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "host"), "find container nobody: unknown"),
        (("host", "10.9.0.2:99999"), "'99999' is no port"),
        (("host", "10.9.0.2/tcp"), "tcp and udp have a port"),
        (("host", "10.9.0.2:80/icmp"), "icmp has none"),
        (("host", "10.9.0.2", "-6"), "10.9.0.2 is none"),
    ],
)
def test_question_that_makes_no_sense(
    stage: Stage, words: tuple[str, ...], said: str
) -> None:
    """It is refused in one line, and nothing is sent."""
    assert said in stage.desk.refused("why", *words)
