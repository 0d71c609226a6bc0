# SPDX-License-Identifier: Apache-2.0
"""containerd passes the bandwidth annotations of Kubernetes on, and they are obeyed."""

from collections.abc import Iterator

import pytest

from tests.runtimes import web
from tests.runtimes.containerd import Containerd
from tests.runtimes.sandbox import Sandbox, need, remains
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import REPOSITORY

EXAMPLE = REPOSITORY / "conf-examples" / "12-kubernetes-bandwidth.conflist"
INGRESS, EGRESS = "kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth"
LIMITED = {INGRESS: "8M", EGRESS: "16M"}


@pytest.fixture(scope="module")
def containerd(sandbox: Sandbox, plugins: Plugins) -> Iterator[Containerd]:
    """A daemon with the network whose list asks for the annotations."""
    need("containerd", "ctr", "runc", "tc")
    sandbox.write(f"/etc/cni/net.d/{EXAMPLE.name}", EXAMPLE.read_text())
    daemon = Containerd(sandbox, plugins.directory)
    wait_for(daemon.network_ready, "containerd to load the network")
    yield daemon
    assert links_of(sandbox, "ifb") == []


def links_of(sandbox: Sandbox, kind: str) -> list[str]:
    """Return the names of the links of a kind."""
    shown = sandbox.json("ip", "-j", "link", "show", "type", kind)
    return [link["ifname"] for link in shown if link["ifname"] != "eth0"]


def rates(sandbox: Sandbox, link: str) -> list[int]:
    """Return the rates of the token buckets at a link, in bits a second."""
    queues = sandbox.json("tc", "-j", "qdisc", "show", "dev", link)
    return [q["options"]["rate"] * 8 for q in queues if q["kind"] == "tbf"]


def test_annotations_become_limits(containerd: Containerd) -> None:
    """Ingress is limited at the host's end of the veth, egress at the ifb behind it."""
    sandbox = containerd.sandbox
    with containerd.running("limited", {8080: 80}, LIMITED) as pod:
        (veth,), (ifb,) = links_of(sandbox, "veth"), links_of(sandbox, "ifb")
        found = rates(sandbox, veth), rates(sandbox, ifb)
        page = web.fetch(sandbox, f"http://{web.HOST}:8080/", netns="client")
        words = (pod.identity, pod.address, "8080")
    assert found == ([8_000_000], [16_000_000])
    assert page == web.PAGE
    assert remains.everything(sandbox, *words) == []
    assert links_of(sandbox, "ifb") == []


@pytest.mark.parametrize(
    ("annotations", "ingress", "egress"),
    [({INGRESS: "8M"}, 1, 0), ({EGRESS: "8M"}, 0, 1), ({}, 0, 0)],
)
def test_one_annotation_limits_one_direction(
    containerd: Containerd, annotations: dict[str, str], ingress: int, egress: int
) -> None:
    """A direction that no annotation names has no queue."""
    sandbox = containerd.sandbox
    with containerd.running("half", None, annotations):
        (veth,) = links_of(sandbox, "veth")
        found = len(rates(sandbox, veth)), len(links_of(sandbox, "ifb"))
    assert found == (ingress, egress)
    assert links_of(sandbox, "ifb") == []


def test_repeated_stop_of_a_limited_pod(containerd: Containerd) -> None:
    """The second DEL, without namespace and prevResult, finds nothing and succeeds."""
    sandbox = containerd.sandbox
    pod = containerd.run_pod("twice", {8081: 80}, LIMITED)
    containerd.stop_pod(pod)
    containerd.stop_pod(pod)
    containerd.remove_pod(pod)
    assert remains.everything(sandbox, pod.identity, pod.address, "8081") == []
    assert links_of(sandbox, "ifb") == []
