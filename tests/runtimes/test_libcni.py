# SPDX-License-Identifier: Apache-2.0
"""libcni, the library inside every runtime, drives whole configuration lists."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtimes import web
from tests.runtimes.libcni_client import INSIDE, LibCNI, build
from tests.runtimes.sandbox import Sandbox, remains
from tests.runtimes.sandbox.chain import Plugins

# Results before 0.3.0 cannot be chained, so libcni runs them with bridge alone.
SINGLE = ("0.1.0", "0.2.0")
CHAINED = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
WITH_CHECK = ("0.4.0", "1.0.0")
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}


def conflist(version: str, name: str = "lab") -> dict[str, Any]:
    """Return a list of bridge and, where results can be chained, portmap."""
    bridge = {
        "type": "bridge",
        "bridge": "lab0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.77.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [bridge] if version in SINGLE else [bridge, portmap]
    return {"cniVersion": version, "name": name, "plugins": plugins}


@pytest.fixture(scope="module")
def client(plugins: Plugins, tmp_path_factory: pytest.TempPathFactory) -> type[LibCNI]:
    """The Go program lies in the sandbox; LibCNI runs it."""
    program = build(tmp_path_factory.mktemp("go"))
    shutil.copy(program, plugins.sandbox.path(INSIDE))
    return LibCNI


@pytest.fixture
def container(sandbox: Sandbox) -> Iterator[str]:
    """A named network namespace."""
    sandbox.run("ip", "netns", "add", "c1")
    yield "c1"
    sandbox.run("sh", "-c", "! test -e /run/netns/c1 || ip netns delete c1")


@pytest.mark.parametrize("version", SINGLE + CHAINED)
def test_lists_of_every_version_attach_and_detach(
    client: type[LibCNI], plugins: Plugins, container: str, version: str
) -> None:
    """ADD answers in the list's version and DEL removes everything."""
    lab = client(plugins, conflist(version))
    result = lab.add(container, portMappings=[PORT])
    web.serve_page(plugins.sandbox, container)
    address = "10.77.0." + attached_address(result).split(".")[3].split("/")[0]
    page = web.fetch(plugins.sandbox, f"http://{address}/")
    lab("del", container, capabilities={"portMappings": [PORT]})
    plugins.sandbox.stop(f"page-{container}-80")
    assert (result["cniVersion"], page) == (version, web.PAGE)
    left = remains.everything(plugins.sandbox, container, address, "8080")
    assert left == [container]


def attached_address(result: dict[str, Any]) -> str:
    """Return the IPv4 address of a result of any version."""
    if "ip4" in result:
        return str(result["ip4"]["ip"])
    return str(result["ips"][0]["address"])


@pytest.mark.parametrize("version", SINGLE + CHAINED)
def test_validate_accepts_every_version(
    client: type[LibCNI], plugins: Plugins, version: str
) -> None:
    """All plugins of the list tell in VERSION that they speak its version."""
    client(plugins, conflist(version))("validate", "none")


@pytest.mark.parametrize("version", CHAINED)
def test_published_port_answers(
    client: type[LibCNI], plugins: Plugins, container: str, version: str
) -> None:
    """portmap finds the address in the result that bridge gave in this version."""
    lab = client(plugins, conflist(version))
    lab.add(container, portMappings=[PORT])
    web.serve_page(plugins.sandbox, container)
    page = web.fetch(plugins.sandbox, f"http://{web.HOST}:8080/", netns="client")
    lab("del", container, capabilities={"portMappings": [PORT]})
    plugins.sandbox.stop(f"page-{container}-80")
    assert page == web.PAGE


@pytest.mark.parametrize("version", WITH_CHECK)
def test_check_right_after_add_passes(
    client: type[LibCNI], plugins: Plugins, container: str, version: str
) -> None:
    """CHECK accepts what ADD has just made."""
    lab = client(plugins, conflist(version))
    lab.add(container, portMappings=[PORT])
    done = lab("check", container, check=False)
    lab("del", container)
    assert (done.returncode, done.stderr) == (0, "")


DAMAGE = {
    "link down on the host": "ip link set {veth} nomaster",
    "address gone": "ip -n c1 addr flush dev eth0",
    "route gone": "ip -n c1 route delete default",
    "rules gone": "nft flush ruleset; iptables -t nat -F",
    "lease gone": "rm /var/lib/cni/networks/lab/10.77.0.*",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_check_after_damage_fails(
    client: type[LibCNI], plugins: Plugins, container: str, damage: str
) -> None:
    """CHECK notices that something ADD made is not there any more."""
    sandbox = plugins.sandbox
    lab = client(plugins, conflist("1.0.0"))
    lab.add(container, portMappings=[PORT])
    veth = remains.veths(sandbox)[0]
    sandbox.run("sh", "-c", DAMAGE[damage].format(veth=veth))
    done = lab("check", container, check=False)
    lab("del", container)
    assert done.returncode == 1


def test_second_delete_succeeds(
    client: type[LibCNI], plugins: Plugins, container: str
) -> None:
    """DEL may be repeated, with the namespace and after it is gone."""
    lab = client(plugins, conflist("1.0.0"))
    lab.add(container, portMappings=[PORT])
    lab("del", container)
    lab("del", container)
    plugins.sandbox.run("ip", "netns", "delete", container)
    done = lab("del", container, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_failed_add_leaves_nothing(
    client: type[LibCNI], plugins: Plugins, container: str
) -> None:
    """An ADD that fails halfway takes back link, lease and rules by itself."""
    sandbox = plugins.sandbox
    before = remains.layout(sandbox)
    broken = conflist("1.0.0", name="broken")
    broken["plugins"][0]["bridge"] = "broken0"
    broken["plugins"][0]["ipam"]["routes"] = [{"dst": "10.1.0.0/16", "gw": "192.0.2.9"}]
    done = client(plugins, broken)("add", container, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert remains.everything(sandbox, container, "10.77.0.2") == [container]
    assert remains.layout(sandbox) == before


def test_add_again_after_a_failed_one_succeeds(
    client: type[LibCNI], plugins: Plugins, container: str
) -> None:
    """A plain retry works once the cause of the failure is mended."""
    broken = conflist("1.0.0", name="mended")
    broken["plugins"][0]["ipam"]["routes"] = [{"dst": "10.1.0.0/16", "gw": "192.0.2.9"}]
    failed = client(plugins, broken)("add", container, check=False)
    lab = client(plugins, conflist("1.0.0", name="mended"))
    result = lab.add(container)
    lab("del", container)
    assert failed.returncode == 1
    assert [ip["address"] for ip in result["ips"]] != []
