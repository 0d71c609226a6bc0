# SPDX-License-Identifier: Apache-2.0
"""Each verb knows the containers that Podman and containerd run, by their words."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtimes import web
from tests.runtimes.command import Command
from tests.runtimes.containerd import Containerd, Pod
from tests.runtimes.podman import NETWORKS, Podman
from tests.runtimes.sandbox import Sandbox, need, need_podman, remains
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import wait_for

FRONT, BACK = "front", "back"
RESULTS = "/var/lib/cni/results"
SERVER = "10.97.0.1"


def conflist(name: str, subnet: str) -> str:
    """Return a network on which everything may be changed."""
    plugins = [
        {
            "type": "bridge",
            "bridge": f"br-{name}",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
        {
            "type": "dnsname",
            "domainName": "test.internal",
            "capabilities": {"aliases": True},
        },
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": name, "plugins": plugins})


LISTS = {
    "10-front.conflist": conflist(FRONT, "10.97.0.0/24"),
    "20-back.conflist": conflist(BACK, "10.98.0.0/24"),
}


@pytest.fixture(scope="module")
def podman(sandbox: Sandbox, plugins: Plugins) -> Podman:
    """Podman with both networks."""
    need_podman("runc", "dnsmasq")
    return Podman(sandbox, plugins, LISTS)


@pytest.fixture(scope="module")
def containerd(sandbox: Sandbox, plugins: Plugins) -> Containerd:
    """A daemon whose pods are on the first of both networks."""
    need("containerd", "ctr", "runc", "dnsmasq")
    for name, text in LISTS.items():
        sandbox.write(f"/etc/cni/net.d/{name}", text)
    daemon = Containerd(sandbox, plugins.directory)
    wait_for(daemon.network_ready, "containerd to load the network")
    return daemon


@pytest.fixture
def of_podman(podman: Podman, plugins: Plugins) -> Command:
    """The command, told where Podman has its networks and its containers."""
    env = {"CNI_PATH": plugins.directory, "NETCONFPATH": NETWORKS}
    return Command(podman.sandbox, {**env, **podman.env})


@pytest.fixture
def of_containerd(containerd: Containerd, plugins: Plugins) -> Command:
    """The command on a node of containerd."""
    return Command(containerd.sandbox, {"CNI_PATH": plugins.directory})


@pytest.fixture
def container(podman: Podman) -> Iterator[str]:
    """Podman's container `web`, whose port 80 is published as 8080; its ID."""
    with podman.container("web", "--network", FRONT, "-p", "8080:80") as identity:
        yield identity


@pytest.fixture
def pod(containerd: Containerd) -> Iterator[Pod]:
    """The pod `web`, whose port 80 is published as 8080."""
    with containerd.running("web", {8080: 80}) as running:
        yield running


def reach(command: Command, port: int) -> bool:
    """Tell whether a client on another machine has the page from a port of the host."""
    url = f"http://{web.HOST}:{port}/"
    return web.fetch(command.sandbox, url, netns="client") == web.PAGE


def elements(command: Command, port: int) -> list[str]:
    """Return the elements that have the port."""
    shown = remains.elements(command.sandbox)
    return [line for line in shown if "cnipy_portmap" in line and f" {port}," in line]


def kept(command: Command, container_id: str) -> Any:
    """Return what libcni's cache has of the container's capabilities on FRONT."""
    path = command.sandbox.path(f"{RESULTS}/{FRONT}-{container_id}-eth0")
    return json.loads(path.read_text())["capabilityArgs"]


def addresses(command: Command, netns: str) -> dict[str, list[str]]:
    """Return the IPv4 addresses of a container by link, its loopback apart."""
    shown = command.sandbox.json("ip", "-j", "-4", "address", netns=netns)
    held = {link["ifname"]: link["addr_info"] for link in shown}
    held.pop("lo")
    return {name: [each["local"] for each in told] for name, told in held.items()}


def finds(command: Command, name: str) -> list[str]:
    """Return the addresses that the name server of FRONT has for a name."""
    words = ("busybox", "nslookup", "-type=a", f"{name}.test.internal", SERVER)
    said = command.sandbox.run(*words, check=False).stdout.partition(name)[2]
    return re.findall(r"Address: (\S+)", said)


def known(command: Command, word: str, address: str) -> dict[str, bool]:
    """Tell of each verb that looks whether it means the container of an address."""
    (attached,) = command.told("show", FRONT, word)
    ours = command.told("rules", word)
    return {
        "show": address in str(attached["addresses"]),
        "rules": {each["ifname"] for each in ours} == {"eth0"}
        and address in json.dumps(ours),
        "why": command.told("why", "host", f"{word}:80")["reaches"],
    }


def change(command: Command, word: str, container_id: str, netns: str) -> None:
    """Have everything changed that can be, and see that it is so.

    Afterwards port 8081 leads to the container, and 8080 does not.
    """
    before = addresses(command, netns)
    command("publish", word, "8081:80")
    assert [reach(command, port) for port in (8080, 8081)] == [True, True]
    command("unpublish", word, "8080")
    assert (elements(command, 8080), bool(elements(command, 8081))) == ([], True)
    command("limit", word, "--ingress", "8M")
    shown = command.sandbox.json("tc", "-j", "qdisc", "show")
    rates = [each["options"].get("rate") for each in shown if each["kind"] == "tbf"]
    assert rates == [1_000_000]  # bytes a second
    asked = kept(command, container_id)
    assert [each["hostPort"] for each in asked["portMappings"]] == [8081]
    assert asked["bandwidth"]["ingressRate"] == 8_000_000
    command("rename", word, "shop")
    command("alias", word, "db")
    names = ("shop", "db", "web")
    assert [finds(command, name) for name in names] == [*[before["eth0"]] * 2, []]
    (more,) = command.told("connect", word, BACK)["result"]["ips"]
    there = before | {"eth1": [more["address"].partition("/")[0]]}
    assert addresses(command, netns) == there
    command("disconnect", word, BACK)
    assert addresses(command, netns) == before
    assert command.told("doctor", FRONT) == []


def test_containers_of_podman_are_known(
    podman: Podman, of_podman: Command, container: str
) -> None:
    """By name, and by as much of the ID as Podman prints."""
    address = podman.address("web", FRONT)
    for word in ("web", container[:12]):
        told = known(of_podman, word, address)
        assert told == dict.fromkeys(told, True)


def test_container_of_podman_is_changed_until_it_ends(
    podman: Podman, of_podman: Command, container: str
) -> None:
    """Its stop takes all changes along; a start brings what Podman was asked for."""
    sandbox, address = podman.sandbox, podman.address("web", FRONT)
    change(of_podman, "web", container, podman.netns("web"))
    podman("stop", "-t", "0", "web")
    assert remains.everything(sandbox, container, address, "8081") == []
    podman("start", "web")
    podman.wait_until_serving("web")
    assert (elements(of_podman, 8081), reach(of_podman, 8080)) == ([], True)
    (port,) = of_podman.told("ports")
    assert (port["hostPort"], port["containerID"]) == (8080, container)


def test_pods_are_known(of_containerd: Command, pod: Pod) -> None:
    """By name, alone and behind their namespace, and by the beginning of the ID."""
    for word in ("web", "test/web", pod.identity[:13]):
        told = known(of_containerd, word, pod.address)
        assert told == dict.fromkeys(told, True)


def test_pod_is_changed_until_it_ends(
    containerd: Containerd, of_containerd: Command
) -> None:
    """Stop takes all changes along, also those of which containerd did not hear."""
    with containerd.running("web", {8080: 80}) as pod:
        change(of_containerd, "test/web", pod.identity, pod.netns)
        # The pod has a result on loopback's network, too, which says where it lives.
        assert of_containerd("gc").stderr == ""
        containerd.restart()
        assert reach(of_containerd, 8081)
    words = (pod.identity, pod.address, "8081")
    assert remains.everything(containerd.sandbox, *words) == []


def test_container_of_ctr_is_changed(
    containerd: Containerd, of_containerd: Command, plugins: Plugins
) -> None:
    """What go-cni attached, as nerdctl does, is known; gc finds it without a DEL."""
    sandbox = containerd.sandbox
    # ctr looks in /opt/cni/bin and, on Debian, in /usr/lib/cni; nowhere else.
    sandbox.path("/opt/cni/bin").mkdir(parents=True, exist_ok=True)
    for directory in ("/opt/cni/bin", "/usr/lib/cni"):
        if sandbox.path(directory).is_dir():
            sandbox.run("mount", "--bind", plugins.directory, directory)
    cgroup = f"/{sandbox.cgroup}/ctr"
    words = ("-d", "--cni", "--cgroup", cgroup, "localhost/pod:latest", "c1")
    containerd.ctr("run", *words)
    of_containerd("publish", "c1", "8082:80")
    wait_for(lambda: reach(of_containerd, 8082), "the container to serve")
    (port,) = of_containerd.told("ports")
    assert (port["hostPort"], port["containerID"]) == (8082, "default-c1")
    containerd.ctr("task", "kill", "-s", "KILL", "c1")
    wait_for(lambda: not remains.veths(sandbox), "the namespace to end")
    containerd.ctr("task", "rm", "c1", check=False)  # 137, as it was killed
    containerd.ctr("container", "rm", "c1")
    assert "8082" in str(remains.everything(sandbox, "8082"))
    of_containerd("gc")
    assert remains.everything(sandbox, "default-c1", "8082") == []
