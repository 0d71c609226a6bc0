# SPDX-License-Identifier: Apache-2.0
"""containerd drives the plugins through its CRI service, as the kubelet does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.runtimes import web
from tests.runtimes.containerd import Containerd, Pod
from tests.runtimes.sandbox import Sandbox, need, remains
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import REPOSITORY

EXAMPLE = REPOSITORY / "conf-examples" / "10-containerd-bridge.conflist"


@pytest.fixture(scope="module")
def containerd(sandbox: Sandbox, plugins: Plugins) -> Containerd:
    """A daemon with one network, the example that its users start from."""
    need("containerd", "ctr", "runc")
    sandbox.write(f"/etc/cni/net.d/{EXAMPLE.name}", EXAMPLE.read_text())
    daemon = Containerd(sandbox, plugins.directory)
    wait_for(daemon.network_ready, "containerd to load the network")
    return daemon


@pytest.fixture(scope="module")
def pod(containerd: Containerd) -> Iterator[Pod]:
    """A web server whose port 80 is published as 8080."""
    with containerd.running("web", {8080: 80}) as shared:
        yield shared


def test_pod_has_the_address_that_containerd_reports(
    containerd: Containerd, pod: Pod
) -> None:
    """The kernel's address on eth0 is the one in the pod's status."""
    command = ("ip", "-j", "-4", "addr", "show", "eth0")
    link = containerd.sandbox.json(*command, netns=pod.netns)[0]
    assert [a["local"] for a in link["addr_info"]] == [pod.address]


def test_pod_loopback_is_up(containerd: Containerd, pod: Pod) -> None:
    """The loopback plugin, run beside bridge, has set `lo` up."""
    link = containerd.sandbox.json("ip", "-j", "link", "show", "lo", netns=pod.netns)
    assert "UP" in link[0]["flags"]


def test_host_reaches_the_pod_address(containerd: Containerd, pod: Pod) -> None:
    """A request from the node to the pod's address is answered."""
    assert web.fetch(containerd.sandbox, f"http://{pod.address}/") == web.PAGE


def test_host_reaches_the_host_port_by_its_address(
    containerd: Containerd, pod: Pod
) -> None:
    """The pod's hostPort answers on the node's address."""
    assert pod.identity
    assert web.fetch(containerd.sandbox, f"http://{web.HOST}:8080/") == web.PAGE


def test_host_reaches_the_host_port_by_loopback(
    containerd: Containerd, pod: Pod
) -> None:
    """The pod's hostPort answers on 127.0.0.1."""
    assert pod.identity
    assert web.fetch(containerd.sandbox, "http://127.0.0.1:8080/") == web.PAGE


@pytest.mark.parametrize("host", [web.HOST, f"[{web.HOST6}]"])
def test_outside_reaches_the_host_port(
    containerd: Containerd, pod: Pod, host: str
) -> None:
    """The pod's hostPort answers a client on another machine, by IPv4 and IPv6."""
    assert pod.identity
    url = f"http://{host}:8080/"
    assert web.fetch(containerd.sandbox, url, netns="client") == web.PAGE


def test_remove_leaves_nothing(containerd: Containerd) -> None:
    """After Stop and Remove the pod's link, leases, rules and records are gone."""
    before = remains.everything(containerd.sandbox)
    with containerd.running("gone", {8081: 80}) as pod:
        words = (pod.identity, pod.address, "8081")
        held = remains.everything(containerd.sandbox, *words)
    after = remains.everything(containerd.sandbox, *words)
    assert len(held) > len(before)
    assert after == before


def test_second_stop_succeeds(containerd: Containerd) -> None:
    """A repeated Stop, which sends DEL without netns and prevResult, is no error."""
    before = remains.everything(containerd.sandbox)
    pod = containerd.run_pod("twice", {8082: 80})
    containerd.stop_pod(pod)
    containerd.stop_pod(pod)
    containerd.remove_pod(pod)
    words = (pod.identity, pod.address, "8082")
    assert remains.everything(containerd.sandbox, *words) == before


def test_vanished_netns_leaves_nothing(containerd: Containerd) -> None:
    """A pod whose namespace file was removed by others is still torn down whole."""
    before = remains.everything(containerd.sandbox)
    pod = containerd.run_pod("orphan", {8083: 80})
    containerd.sandbox.run("ip", "netns", "delete", pod.netns)
    containerd.stop_pod(pod)
    containerd.remove_pod(pod)
    words = (pod.identity, pod.address, "8083")
    # The kernel removes the link a moment after the last user of its namespace.
    links = remains.veths
    wait_for(lambda: set(links(containerd.sandbox)) <= set(before), "links to vanish")
    assert remains.everything(containerd.sandbox, *words) == before


def test_pod_survives_a_restart_of_the_daemon(containerd: Containerd) -> None:
    """A pod serves while containerd restarts, and is then torn down whole."""
    before = remains.everything(containerd.sandbox)
    with containerd.running("steady", {8084: 80}) as pod:
        containerd.restart()
        page = web.fetch(containerd.sandbox, f"http://{web.HOST}:8084/")
        words = (pod.identity, pod.address, "8084")
    assert page == web.PAGE
    assert remains.everything(containerd.sandbox, *words) == before


def test_eight_pods_start_at_once(containerd: Containerd) -> None:
    """Eight parallel RunPodSandbox give eight addresses and eight open ports."""
    before = remains.everything(containerd.sandbox)
    ports = {f"many{number}": 9000 + number for number in range(8)}

    def run(name: str) -> Pod:
        return containerd.run_pod(name, {ports[name]: 80})

    def remove(pod: Pod) -> None:
        containerd.stop_pod(pod)
        containerd.remove_pod(pod)

    with ThreadPoolExecutor(len(ports)) as pool:
        pods = list(pool.map(run, ports))
        for pod in pods:
            containerd.wait_until_serving(pod)
        urls = [f"http://{web.HOST}:{port}/" for port in ports.values()]
        pages = [web.fetch(containerd.sandbox, url) for url in urls]
        list(pool.map(remove, pods))
    assert (len({pod.address for pod in pods}), pages) == (8, [web.PAGE] * 8)
    words = [word for pod in pods for word in (pod.identity, pod.address)]
    assert remains.everything(containerd.sandbox, *words) == before


def test_ctr_run_attaches_and_detaches(
    containerd: Containerd, plugins: Plugins
) -> None:
    """`ctr run --rm --cni` reaches the outside and gives its address back."""
    sandbox = containerd.sandbox
    before = remains.everything(sandbox)
    # ctr looks in /opt/cni/bin and, on Debian, in /usr/lib/cni; nowhere else.
    sandbox.path("/opt/cni/bin").mkdir(parents=True, exist_ok=True)
    for directory in ("/opt/cni/bin", "/usr/lib/cni"):
        if sandbox.path(directory).is_dir():
            sandbox.run("mount", "--bind", plugins.directory, directory)
    cgroup = f"/{sandbox.cgroup}/ctr"
    words = ("run", "--rm", "--cni", "--cgroup", cgroup, "localhost/pod:latest", "c1")
    ping = ("/bin/busybox", "ping", "-c1", "-W2", web.CLIENT)
    output = containerd.ctr(*words, *ping).stdout
    assert "1 packets received" in output
    assert remains.everything(sandbox, "default-c1") == before
