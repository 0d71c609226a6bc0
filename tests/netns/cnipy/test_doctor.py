# SPDX-License-Identifier: Apache-2.0
"""`cnipy doctor`: nodes are broken in twenty ways, and each is named, with its cure."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import private_firewalld
import pytest
from lab import PATIENCE, ip, lacking, need, run
from netns.cnipy.helpers import BRIDGE, PORTMAP, Desk
from netns.firewall.helpers import needs_variant
from warm_server import SOCKET, end, wait_until

from cni_common import firewalld, system_bus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space

BUILD, OTHER_BUILD = "0123456789abcdef" * 2, "fedcba9876543210" * 2
PACKED = "#!/bin/sh\n# cnipy, build {build}\npython='{python}'\nroot='{root}'\n"
SMALL = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.9.0.0/29"}}
FIREWALL: dict[str, Any] = {"type": "firewall"}
DNSNAME = {"type": "dnsname", "domainName": "dns.test"}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator at a node with an uplink, whose plugins are all of one build."""
    outside = host.outside()
    run("ip", "route", "add", "default", "via", "198.51.100.2")
    run("ip", "-n", outside.name, "route", "add", "10.9.0.0/24", "via", "198.51.100.1")
    for file in Path(cni.plugin_path).iterdir():
        install(file, build=BUILD)
    return Desk(host, cni, tmp_path)


def install(file: Path, *, build: str, python: str = sys.executable) -> None:
    """Have a file there that begins as a packed one does."""
    file.write_text(PACKED.format(build=build, python=python, root="/run/cnipy"))
    file.chmod(0o755)


def findings(desk: Desk, *words: str) -> list[dict[str, Any]]:
    """Return what the doctor finds, having looked at everything; nothing is changed."""
    before = state_of_node()
    status, stdout, stderr = desk("doctor", *words, "--json")
    assert stderr == ""
    found: list[dict[str, Any]] = json.loads(stdout)
    assert status == bool(found)
    assert state_of_node() == before
    return found


def state_of_node() -> tuple[str, ...]:
    """Return rules, links, addresses and routes of the host."""
    words = (
        ["-o", "-4", "address"],
        ["route"],
        ["-6", "route", "show", "proto", "boot"],
    )
    links = " ".join(sorted(link["ifname"] for link in ip("link")))
    return (run("nft", "-s", "list", "ruleset"), links, *(run("ip", *w) for w in words))


def the_finding(desk: Desk, name: str, *among: str) -> dict[str, Any]:
    """Return the one finding of this name; no other is there but `among`."""
    found = findings(desk)
    assert {each["name"] for each in found} <= {name, *among}, found
    (only,) = [each for each in found if each["name"] == name]
    assert only["what"]
    assert only["cure"]
    return only


def cured(desk: Desk, finding: dict[str, Any]) -> bool:
    """Tell whether nothing is found after the commands of the cure, as they stand."""
    for command in finding["cure"]:
        if command == "cnipy repair":
            desk.both("repair")
        elif command.startswith(("sysctl ", "iptables ", "nft ", "ip ")):
            run(*command.split())
    return findings(desk) == []


def test_healthy_node_has_no_finding(desk: Desk, host: Host) -> None:
    """Nothing is found where all is well, with everything in use."""
    desk.network("n", BRIDGE, PORTMAP, FIREWALL, DNSNAME)
    need("dnsmasq")
    desk.attach("n", host.space(), ports=[8080])
    desk.attach("n", host.space())
    assert findings(desk) == []
    told = "of the node, networks (n) and attachments (2)"
    assert desk.ok("doctor") == f"nothing is found to be broken {told}\n"
    assert findings(desk, "n") == []


def test_network_without_containers_has_no_finding(desk: Desk) -> None:
    """A list that nobody has used yet is no fault."""
    desk.network("n", BRIDGE, PORTMAP)
    assert findings(desk) == []


def test_unknown_network_is_told(desk: Desk) -> None:
    """The networks that there are, are named."""
    desk.network("n", BRIDGE)
    assert "there are: n" in desk.refused("doctor", "m")


def test_forward_policy(desk: Desk, host: Host) -> None:
    """A policy that drops is named with its chain, and the cure helps."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    assert space.reaches("198.51.100.2")
    run("nft", "add table ip filter")
    hook = "type filter hook forward priority 0; policy drop;"
    run("nft", f"add chain ip filter FORWARD {{ {hook} }}")
    assert not space.reaches("198.51.100.2")
    found = the_finding(desk, "forward-policy")
    assert "ip filter FORWARD drops" in found["cause"]
    assert found["network"] == "n"
    assert cured(desk, found)
    assert space.reaches("198.51.100.2")


@pytest.mark.parametrize("plugins", [[BRIDGE], [BRIDGE, FIREWALL]], ids=len)
@pytest.mark.parametrize("family", ["inet", "ip"])
def test_forward_policy_of_an_admins_table(
    desk: Desk, host: Host, family: str, plugins: list[dict[str, Any]]
) -> None:
    """A table of the administrator's own that drops is named; an accept is enough.

    The plugin firewall does not write into it.
    """
    desk.network("n", *plugins)
    space = host.space()
    desk.attach("n", space)
    run("nft", f"add table {family} mine")
    hook = "type filter hook forward priority 10; policy drop;"
    run("nft", f"add chain {family} mine forwarded {{ {hook} }}")
    found = the_finding(desk, "forward-policy")
    assert f"{family} mine forwarded drops" in found["cause"]
    assert not space.reaches("198.51.100.2")
    assert any("firewall" in each for each in found["cure"]) == (len(plugins) == 1)
    assert cured(desk, found)
    assert space.reaches("198.51.100.2")


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ("ip saddr @ours accept", "may"),
        ("meta mark 0 accept", "may"),
        ("iifname @links accept", ""),
    ],
)
def test_forward_policy_whose_accept_is_not_seen(
    desk: Desk, host: Host, rule: str, finding: str
) -> None:
    """Nothing is claimed of a network that a set or a mark may let through."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    run("nft", "add table ip mine")
    sets = {
        "ours": "{ type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }",
        "links": f"{{ type ifname; elements = {{ {BRIDGE['bridge']} }}; }}",
    }
    for name, what in sets.items():
        run("nft", f"add set ip mine {name} {what}")
    hook = "type filter hook forward priority 10; policy drop;"
    run("nft", f"add chain ip mine forwarded {{ {hook} }}")
    run("nft", "add rule ip mine forwarded ct state established accept")
    run("nft", f"add rule ip mine forwarded {rule}")
    assert space.reaches("198.51.100.2")
    told = [each["what"] for each in findings(desk)]
    assert [finding in each for each in told] == [True] * bool(finding)
    assert all(each.startswith("it may be that") for each in told)


def test_forward_policy_that_came_after_the_container(desk: Desk, host: Host) -> None:
    """Where the plugin firewall has to follow the host, repair is the cure."""
    needs_variant("nft")
    desk.network("n", BRIDGE, FIREWALL)
    space = host.space()
    desk.attach("n", space)
    run("iptables-nft", "-P", "FORWARD", "DROP")
    assert not space.reaches("198.51.100.2")
    found = the_finding(desk, "forward-policy")
    assert "by now" in found["cause"]
    assert cured(desk, found)
    assert space.reaches("198.51.100.2")


def enable_ufw() -> None:
    """Have the chains that ufw makes when it is enabled."""
    needs_variant("nft")
    run("iptables-nft", "-N", "ufw-before-forward")
    run("iptables-nft", "-A", "FORWARD", "-j", "ufw-before-forward")
    state = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
    run("iptables-nft", "-A", "ufw-before-forward", *state)
    run("iptables-nft", "-P", "FORWARD", "DROP")


def test_ufw(desk: Desk, host: Host) -> None:
    """ufw is named, and its own commands are the cure."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    enable_ufw()
    assert not space.reaches("198.51.100.2")
    found = the_finding(desk, "ufw")
    assert "ufw route allow in on br0" in found["cure"]


def test_ufw_after_the_container(desk: Desk, host: Host) -> None:
    """With the plugin firewall it is repaired."""
    desk.network("n", BRIDGE, FIREWALL)
    desk.attach("n", host.space())
    enable_ufw()
    assert cured(desk, the_finding(desk, "ufw"))


def test_firewalld_reload(
    desk: Desk, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload of firewalld forgets the container's source, until it is repaired."""
    monkeypatch.delenv(system_bus.ADDRESS, raising=False)
    monkeypatch.setattr(firewalld, "SECONDS", firewalld.SECONDS * PATIENCE)
    desk.network("n", BRIDGE, FIREWALL)
    with (
        private_firewalld.system_bus(tmp_path),
        private_firewalld.running(tmp_path) as firewall,
    ):
        space = host.space()
        desk.attach("n", space)
        assert findings(desk) == []
        firewall.reload()
        assert not space.reaches("198.51.100.2")
        found = the_finding(desk, "firewalld-reload")
        assert "zone trusted" in found["cause"]
        assert cured(desk, found)
        assert space.reaches("198.51.100.2")


def test_rules_flushed(desk: Desk, host: Host) -> None:
    """What a flush took is named, and repaired."""
    desk.network("n", BRIDGE, PORTMAP)
    desk.attach("n", host.space(), ports=[8080])
    run("nft", "flush ruleset")
    found = the_finding(desk, "rules-flushed")
    assert "missing" in found["cause"]
    assert cured(desk, found)


@pytest.mark.parametrize(
    "name", ["net.ipv4.ip_forward", "net/ipv4/conf/br0/forwarding"]
)
def test_forwarding_off(desk: Desk, host: Host, name: str) -> None:
    """The parameter that is off is named, be it a link's, and switched on."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    run("sysctl", "-w", f"{name}=0")
    assert not space.reaches("198.51.100.2")
    found = the_finding(desk, "forwarding-off")
    assert f"{name} is 0" in found["cause"]
    assert cured(desk, found)
    assert space.reaches("198.51.100.2")


def make_strict(link: str) -> None:
    """Have a strict filter on the link; the larger value of both counts."""
    run("sysctl", "-w", "net.ipv4.conf.all.rp_filter=0")
    run("sysctl", "-w", f"net.ipv4.conf.{link}.rp_filter=1")


def test_strict_reverse_path_of_a_container(desk: Desk, host: Host) -> None:
    """A container that the host routes elsewhere is heard no more where that counts."""
    desk.network("n", BRIDGE)
    space = host.space()
    (leased, *_) = desk.attach("n", space)["ips"]
    address = leased["address"].partition("/")[0]
    run("ip", "route", "add", f"{address}/32", "dev", "eth0")
    assert "rp-filter" not in {each["name"] for each in findings(desk)}
    make_strict("br0")
    found = the_finding(desk, "rp-filter")
    assert f"routes {address} by eth0" in found["cause"]
    assert cured(desk, found)


def test_strict_reverse_path_of_a_second_uplink(desk: Desk, host: Host) -> None:
    """Requests that come in by the uplink that is not the first one are dropped."""
    desk.network("n", BRIDGE, PORTMAP)
    desk.attach("n", host.space(), ports=[8080])
    run("ip", "link", "add", "up1", "type", "veth", "peer", "up1p")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "up1")
    run("ip", "link", "set", "up1", "up")
    run("ip", "link", "set", "up1p", "up")
    wait_until(lambda: ip("link", "show", "up1")[0]["operstate"] == "UP")
    run("ip", "route", "add", "default", "via", "192.0.2.2", "metric", "500")
    assert findings(desk) == []
    make_strict("up1")
    found = the_finding(desk, "rp-filter")
    assert "strict on up1" in found["cause"]
    assert cured(desk, found)


def test_bridged_filter_and_isolated_ports(desk: Desk, host: Host) -> None:
    """With br_netfilter isolated neighbours do not reach published ports either."""
    parameter = "net.bridge.bridge-nf-call-iptables"
    if not Path("/proc/sys/net/bridge").exists():
        lacking("the kernel has no br_netfilter")
    run("sysctl", "-w", f"{parameter}=0")
    desk.network("n", {**BRIDGE, "portIsolation": True}, PORTMAP)
    server, client = host.space(), host.space()
    desk.attach("n", server, ports=[8080])
    desk.attach("n", client)
    with server.entered():
        listening = socket.create_server(("", 80))
    with listening:
        assert takes(client, "198.51.100.1", 8080)
        assert findings(desk) == []
        run("sysctl", "-w", f"{parameter}=1")
        assert not takes(client, "198.51.100.1", 8080)
        found = the_finding(desk, "br-netfilter")
        assert cured(desk, found)
        assert takes(client, "198.51.100.1", 8080)


def takes(space: Space, address: str, port: int) -> bool:
    """Tell whether a connection from `space` is taken within a second."""
    with space.entered(), socket.socket() as client:
        client.settimeout(PATIENCE)
        return client.connect_ex((address, port)) == 0


def test_subnet_of_the_host(desk: Desk, host: Host) -> None:
    """A link that got an address of the containers' subnet is named."""
    desk.network("n", BRIDGE)
    desk.attach("n", host.space())
    run("ip", "link", "add", "lan", "type", "veth", "peer", "lanp")
    run("ip", "link", "set", "lan", "up")
    run("ip", "address", "add", "10.9.0.77/24", "dev", "lan")
    found = the_finding(desk, "subnet-overlap")
    assert "10.9.0.77/24" in found["cause"]
    assert "lan" in found["cause"]


def test_subnet_of_another_network(desk: Desk) -> None:
    """A network whose subnet the host has on another bridge is named, with it."""
    desk.network("n", BRIDGE)
    ipam = {"type": "host-local", "subnet": "10.9.0.0/16"}
    desk.network("wide", {**BRIDGE, "bridge": "br1", "ipam": ipam})
    lan = {"type": "macvlan", "master": "eth0", "ipam": ipam}
    desk.network("lan", lan)  # whose subnet the host does not route
    status, told, _ = desk("doctor", "--json")
    assert status == 1
    causes = {f["cause"] for f in json.loads(told) if f["name"] == "subnet-overlap"}
    assert causes == {
        "10.9.0.0/24 is also of network wide: 10.9.0.0/16",
        "10.9.0.0/16 is also of network n: 10.9.0.0/24",
    }


def test_subnet_that_is_routed_elsewhere(desk: Desk, host: Host) -> None:
    """A VPN's route to a part of the subnet is named."""
    desk.network("n", BRIDGE)
    desk.attach("n", host.space())
    run("ip", "route", "add", "10.9.0.128/25", "via", "198.51.100.2")
    assert "10.9.0.128/25 via" in the_finding(desk, "subnet-overlap")["cause"]


def test_smaller_uplink(desk: Desk, host: Host) -> None:
    """An uplink that takes smaller packets is named, with the number to write."""
    desk.network("n", BRIDGE)
    desk.attach("n", host.space())
    run("ip", "link", "set", "eth0", "mtu", "1400")
    found = the_finding(desk, "mtu")
    assert "eth0 1400" in found["cause"]
    assert '"mtu": 1400' in found["cure"][0]


def test_ipv6_off(desk: Desk, host: Host) -> None:
    """IPv6 that was switched off on the bridge is named, and comes back."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    assert space.reaches("fd09::1")
    run("sysctl", "-w", "net.ipv6.conf.br0.disable_ipv6=1")
    assert not space.reaches("fd09::1")
    found = the_finding(desk, "ipv6-off", "changed")
    assert "disable_ipv6 is 1" in found["cause"]
    assert cured(desk, found)
    assert space.reaches("fd09::1")


def test_dead_dnsmasq(desk: Desk, host: Host) -> None:
    """A dnsmasq that was killed is named, and started anew."""
    need("dnsmasq")
    desk.network("n", BRIDGE, DNSNAME)
    desk.attach("n", host.space())
    pid = int(Path("/run/cni/cnipy/dnsname-servers/n/pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists())
    found = the_finding(desk, "dnsmasq-dead")
    assert "not running" in found["cause"]
    assert cured(desk, found)


def test_port_that_a_process_has(desk: Desk, host: Host) -> None:
    """The process is named that nobody reaches any more."""
    desk.network("n", BRIDGE, PORTMAP)
    with socket.create_server(("", 8080)):
        desk.attach("n", host.space(), ports=[8080])
        found = the_finding(desk, "port-held")
        assert "tcp port 8080" in found["cause"]
        assert f"process {os.getpid()}" in found["cause"]
    assert findings(desk) == []


def test_stale_leases(desk: Desk, host: Host) -> None:
    """A container that ended without DEL is named, and gc frees what it had."""
    desk.network("n", BRIDGE)
    space = host.space()
    desk.attach("n", space)
    space.delete()
    wait_until(lambda: not ip("link", "show", "type", "veth", "master", "br0"))
    seen: list[dict[str, Any]] = []
    # While a namespace of another test has its number, nobody can tell.
    wait_until(lambda: seen.extend(findings(desk)) or bool(seen))
    (found,) = seen
    assert found["name"] == "stale-leases"
    assert "nobody has called DEL" in found["cause"]
    assert found["cure"] == ["cnipy gc"]


def test_full_range(desk: Desk, host: Host) -> None:
    """A range with no address left is named, with who has them."""
    desk.network("n", SMALL)
    for _ in range(5):
        desk.attach("n", host.space())
    found = the_finding(desk, "range-full")
    assert "no IP addresses available in range set" in found["cause"]
    assert "cnipy gc" in found["cure"]


def test_wrong_plugin_directory(desk: Desk, cni: Cni) -> None:
    """A plugin that lies elsewhere is found there."""
    desk.network("n", BRIDGE, {"type": "elsewhere"})
    found = the_finding(desk, "plugin-directory")
    assert "no plugin elsewhere" in found["what"]
    with mounted("/opt"):
        directory = Path("/opt/cni/bin")
        directory.mkdir(parents=True)
        install(directory / "elsewhere", build=OTHER_BUILD)
        found = the_finding(desk, "plugin-directory")
        assert "/opt/cni/bin" in found["cause"]
        assert found["cure"][0] == f"ln -s {directory}/elsewhere {cni.plugin_path}/"


def test_two_suites(desk: Desk, cni: Cni) -> None:
    """A list that is carried out by two suites, or two builds, is told apart."""
    desk.network("n", BRIDGE, PORTMAP)
    portmap = Path(cni.plugin_path) / "portmap"
    portmap.write_text("#!/bin/false\n")
    found = the_finding(desk, "two-suites")
    assert f"{portmap} of another suite" in found["cause"]
    assert f"of build {BUILD}" in found["cause"]
    install(portmap, build=OTHER_BUILD)
    assert f"of build {OTHER_BUILD}" in the_finding(desk, "two-suites")["cause"]


def test_missing_libnftables(desk: Desk, cni: Cni) -> None:
    """A node without the library is told what to install."""
    desk.network("n", BRIDGE)
    code = "from launcher.main import run; run(['/nowhere/cnipy', 'doctor', '--json'])"
    (library,) = {
        line.split()[-1]
        for line in run("ldconfig", "-p").splitlines()
        if "libnftables.so.1 " in line
    }
    hide = f'mount --bind /dev/null {library} && exec {sys.executable} -c "{code}"'
    env = {
        "PATH": os.environ["PATH"],
        "CNI_PATH": cni.plugin_path,
        "NETCONFPATH": str(desk.conf_dir),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = ["unshare", "-m", "sh", "-c", hide]
    ended = subprocess.run(command, env=env, capture_output=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout, ended.stderr
    found = {each["name"]: each for each in json.loads(ended.stdout)}
    assert "libnftables1 (Debian" in found["libnftables"]["cure"][0]


def test_old_python(desk: Desk, cni: Cni, tmp_path: Path) -> None:
    """An interpreter that cannot run the packed files is named with its version."""
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 3 9\n")
    python.chmod(0o755)
    for file in Path(cni.plugin_path).iterdir():
        install(file, build=BUILD, python=str(python))
    found = the_finding(desk, "old-python")
    assert f"{python}, which is Python 3.9" in found["cause"]
    python.unlink()
    assert "cannot be started" in the_finding(desk, "old-python")["cause"]


def test_warm_server_of_another_build(desk: Desk) -> None:
    """A server that serves what is not installed any more is named by its build."""
    Path(SOCKET).parent.mkdir(exist_ok=True)
    code = "import socket, time; s = socket.socket(socket.AF_UNIX); "
    code += f"s.bind({SOCKET!r}); s.listen(); time.sleep(600)"
    words = [sys.executable, "-c", code, "serve", OTHER_BUILD]
    server = subprocess.Popen(words)
    try:
        wait_until(lambda: Path(SOCKET).exists())
        found = the_finding(desk, "warm-server")
        assert f"of build {OTHER_BUILD}, not {BUILD}" in found["cause"]
    finally:
        end(server)
        Path(SOCKET).unlink()


def test_full_disk(desk: Desk) -> None:
    """A file system that takes nothing more is named; so is one that is read-only."""
    desk.network("n", BRIDGE)
    with mounted("/var/lib/cni", "size=2m"):
        assert findings(desk) == []
        run("dd", "if=/dev/zero", "of=/var/lib/cni/filled", check=False)
        found = the_finding(desk, "disk-full")
        assert "/var/lib/cni is full" in found["cause"]
        run("mount", "-o", "remount,ro", "/var/lib/cni")
        assert "is read-only" in the_finding(desk, "disk-full")["cause"]


@contextmanager
def mounted(path: str, options: str = "mode=0755") -> Iterator[None]:
    """Have an empty file system at `path`, in the mounts of the tests."""
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
    try:
        yield
    finally:
        run("umount", path)
