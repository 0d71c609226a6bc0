# SPDX-License-Identifier: Apache-2.0
"""One word for a container: by namespace, by ID, and by what runtimes wrote down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cni_common.spec.errors import CNIError
from cnipy import bundles, containers
from cnipy.attachment import container_id_of
from cnipy.context import Context

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Desk  # type: ignore[attr-defined] # pytest loads it by path
    from lab import Space

FIRST, SECOND = "44e036b55e0e74ed", "44e1ffffffffffff"


@pytest.fixture
def runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node whose runtimes keep their files in a directory of the test."""
    top = tmp_path / "runtimes"
    monkeypatch.setattr(bundles, "TASKS", (str(top / "tasks"),))
    monkeypatch.setattr(bundles, "NERDCTL", str(top / "nerdctl"))
    conf = top / "storage.conf"
    conf.parent.mkdir()
    conf.write_text(
        f'[storage]\nrunroot = "{top}/run"\ngraphroot = "{top}/graph"\n',
    )
    monkeypatch.setattr(bundles, "STORAGE_CONF", (str(conf),))
    return top


def context(desk: Desk) -> Context:
    """Return what a verb would have."""
    cache = str(desk.directory / "cache")
    return Context("cnipy", desk.env, desk.suite, cache, None, print)  # type: ignore[arg-type] # nothing is printed


def cached(desk: Desk, container_id: str, netns: str, *args: tuple[str, str]) -> None:
    """Have a result in the cache as libcni writes it."""
    written(desk, "n", container_id, "eth0", cniArgs=args, netns=netns)


def written(
    desk: Desk, network: str, container_id: str, ifname: str, **others: object
) -> None:
    """Have a result in the cache with what libcni always writes, and others."""
    document = {
        "kind": "cniCacheV1",
        "containerId": container_id,
        "ifName": ifname,
        "networkName": network,
        "result": {"cniVersion": "1.0.0"},
        **others,
    }
    results = desk.directory / "cache/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{network}-{container_id}-{ifname}").write_text(json.dumps(document))


def bundle(directory: Path, netns: str, **annotations: str) -> None:
    """Have an OCI bundle."""
    directory.mkdir(parents=True)
    space = {"type": "network"} | ({"path": netns} if netns else {})
    document = {"annotations": annotations, "linux": {"namespaces": [space]}}
    (directory / "config.json").write_text(json.dumps(document))


def found(desk: Desk, word: str) -> containers.Container | None:
    """Return whom the word means."""
    return containers.Containers(context(desk)).find(word)


def test_pod_is_found_by_id_beginning_name_and_namespace(
    desk: Desk, runtimes: Path, container: Space
) -> None:
    """What libcni kept of a pod tells its names; its namespace is a name, too."""
    assert runtimes
    pod = (("K8S_POD_NAMESPACE", "ns1"), ("K8S_POD_NAME", "pod1"))
    cached(desk, FIRST, container.path, *pod)
    for word in (FIRST, FIRST[:4], "pod1", "ns1/pod1"):
        meant = found(desk, word)
        assert meant is not None
        assert (meant.container_id, meant.netns) == (FIRST, container.path)
    for word in (container.path, container.name):
        meant = found(desk, word)
        assert meant is not None
        assert (meant.container_id, meant.netns) == ("", container.path)
        (attached,) = containers.Containers(context(desk)).of(meant)
        assert attached.container_id == FIRST
    assert found(desk, "pod") is None


@pytest.mark.parametrize("told", ["eth0", "lo", "both"])
def test_pod_lives_where_one_of_its_results_says(
    desk: Desk, runtimes: Path, container: Space, told: str
) -> None:
    """libcni writes no namespace before 1.2: results do, of one interface at least."""
    assert runtimes
    args = (("K8S_POD_NAMESPACE", "ns1"), ("K8S_POD_NAME", "pod1"))
    for network, ifname in (("cni-loopback", "lo"), ("n", "eth0")):
        sandbox = {"sandbox": container.path} if told in {ifname, "both"} else {}
        said = {"cniVersion": "0.4.0", "interfaces": [{"name": ifname, **sandbox}]}
        written(desk, network, FIRST, ifname, cniArgs=args, result=said)
    for word in (FIRST, FIRST[:4], "pod1", "ns1/pod1"):
        meant = found(desk, word)
        assert meant is not None
        assert (meant.container_id, meant.netns) == (FIRST, container.path)
        assert meant.identity


def test_several_are_named(desk: Desk, runtimes: Path) -> None:
    """A beginning that two have is refused with both; a whole ID is not."""
    assert runtimes
    cached(desk, FIRST, "/run/netns/gone1")
    cached(desk, SECOND, "/run/netns/gone2")
    with pytest.raises(CNIError, match=f"several begin so: {FIRST} {SECOND}"):
        found(desk, FIRST[:3])
    meant = found(desk, FIRST)
    assert meant is not None
    assert meant.container_id == FIRST


def test_containers_of_runtimes_are_found_by_their_names(
    desk: Desk, runtimes: Path, container: Space
) -> None:
    """Podman's, CRI's and nerdctl's containers, in the namespace that they run in."""
    where = container.path
    (runtimes / f"run/overlay-containers/{FIRST}/userdata").mkdir(parents=True)
    bundle(runtimes / f"graph/overlay-containers/{FIRST}/userdata", where)
    names = [{"id": FIRST, "names": ["web"]}, {"id": 5}, None]
    listed = runtimes / "graph/overlay-containers/containers.json"
    listed.write_text(json.dumps(names))
    cri = {
        "io.kubernetes.cri.container-name": "app",
        "io.kubernetes.cri.sandbox-namespace": "ns1",
        "io.kubernetes.cri.sandbox-name": "pod2",
    }
    bundle(runtimes / "tasks/k8s.io/aa11", where, **cri)
    bundle(runtimes / "tasks/default/bb22", where)
    named = runtimes / "nerdctl/1935db59/names/default"
    named.mkdir(parents=True)
    (named / "shop").write_text("bb22")
    for word, container_id in {
        "web": FIRST,
        "app": "aa11",
        "ns1/pod2": "aa11",
        "shop": "bb22",
        "bb2": "bb22",
    }.items():
        meant = found(desk, word)
        assert meant is not None, word
        assert (meant.container_id, meant.netns) == (container_id, where), word


def test_attachment_of_a_container_of_a_pod_is_the_pods(
    desk: Desk, runtimes: Path, container: Space
) -> None:
    """Who shares a namespace is attached as the one that the runtime attached."""
    cached(desk, f"default-{FIRST}", container.path)
    bundle(
        runtimes / "tasks/default/member", container.path, **{"nerdctl/name": "side"}
    )
    for word in ("side", "member", FIRST[:5]):
        meant = containers.attachment(context(desk), word, "n")
        assert (meant.container_id, meant.netns) == (
            f"default-{FIRST}",
            container.path,
        )
    by_space = containers.attachment(context(desk), container.name, "n")
    assert by_space.container_id == f"default-{FIRST}"
    own = containers.attachment(context(desk), container.name, "other")
    assert own.container_id == container_id_of(container.path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"linux": 5}', '{"linux": {"namespaces": [7]}}']
)
def test_damaged_files_of_runtimes_tell_nothing(
    desk: Desk, runtimes: Path, text: str
) -> None:
    """What is not as expected hides no other container, and is no traceback."""
    broken = runtimes / "tasks/k8s.io/dead"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text(text)
    (runtimes / "tasks/k8s.io/nothing").mkdir()
    bundle(runtimes / "tasks/k8s.io/good", "", **{"nerdctl/name": "web"})
    (runtimes / "tasks/k8s.io/good/init.pid").write_text("17\n")
    meant: Any = found(desk, "web")
    assert (meant.container_id, meant.netns) == ("good", "/proc/17/ns/net")
    meant = found(desk, "dea")
    assert (meant.container_id, meant.netns) == ("dead", "")


def test_add_of_what_has_no_namespace_says_so(desk: Desk, runtimes: Path) -> None:
    """A container that is known and gone is no namespace to attach."""
    assert runtimes
    desk.conflist("first")
    cached(desk, FIRST, "/run/netns/gone")
    status, _, stderr = desk.cnipy("add", "n", FIRST[:6])
    assert status == 1
    assert "there is no /run/netns/gone" in stderr
    assert desk.order == []
