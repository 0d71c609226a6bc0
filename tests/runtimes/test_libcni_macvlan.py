# SPDX-License-Identifier: Apache-2.0
"""libcni drives the list that `podman network create -d macvlan` writes."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtimes import web
from tests.runtimes.libcni_client import INSIDE, LibCNI, build
from tests.runtimes.sandbox import Sandbox, remains
from tests.runtimes.sandbox.chain import Plugins

LIST = {
    "cniVersion": "0.4.0",
    "name": "mvl",
    "plugins": [
        {
            "type": "macvlan",
            "master": "eth0",
            "ipam": {
                "type": "host-local",
                "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [
                    [
                        {
                            "subnet": "10.99.0.0/24",
                            "rangeStart": "10.99.0.129",
                            "rangeEnd": "10.99.0.255",
                            "gateway": "10.99.0.1",
                        }
                    ]
                ],
            },
            "capabilities": {"ips": True},
        }
    ],
}


@pytest.fixture(scope="module")
def lab(plugins: Plugins, tmp_path_factory: pytest.TempPathFactory) -> LibCNI:
    """Podman's network in a sandbox with the Go program."""
    program = build(tmp_path_factory.mktemp("go"))
    shutil.copy(program, plugins.sandbox.path(INSIDE))
    return LibCNI(plugins, LIST)


@pytest.fixture
def container(sandbox: Sandbox) -> Iterator[str]:
    """A named network namespace."""
    sandbox.run("ip", "netns", "add", "m1")
    yield "m1"
    sandbox.run("sh", "-c", "! test -e /run/netns/m1 || ip netns delete m1")


@pytest.mark.parametrize("given", [{}, {"ips": ["10.99.0.200"]}])
def test_list_of_podman_attaches_checks_and_detaches(
    lab: LibCNI, sandbox: Sandbox, container: str, given: dict[str, Any]
) -> None:
    """ADD, CHECK and DEL pass, the outside reaches the container, nothing is left."""
    lab("validate", "none")
    result = lab.add(container, **given)
    address = result["ips"][0]["address"].split("/")[0]
    web.serve_page(sandbox, container)
    page = web.fetch(sandbox, f"http://{address}/", netns="client")
    lab("check", container, capabilities=given)
    lab("del", container, capabilities=given)
    lab("del", container)
    sandbox.stop(f"page-{container}-80")
    assert page == web.PAGE
    assert address == given.get("ips", ["10.99.0.129"])[0]
    assert remains.everything(sandbox, container, address) == [container]


def test_namespace_that_died_first_leaves_nothing(
    lab: LibCNI, sandbox: Sandbox, container: str
) -> None:
    """After a crash the runtime's late DEL frees the address."""
    result = lab.add(container)
    address = result["ips"][0]["address"].split("/")[0]
    sandbox.run("ip", "netns", "delete", container)
    lab("del", container)
    assert remains.everything(sandbox, container, address) == []
