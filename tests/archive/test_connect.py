# SPDX-License-Identifier: Apache-2.0
"""`cnipy connect` and `disconnect`: containers that run, on networks more and less."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.portmap.helpers import ask, serving
from operating import Operator

from tests.runtimes import libcni_client

if TYPE_CHECKING:
    from lab import Host, Space

ID = "44e0ffee"
RESULTS = Path("/var/lib/cni/results")


def bridge(number: int, **keys: Any) -> dict[str, Any]:
    """Return a bridge that routes, with addresses of its own."""
    ipam = {"type": "host-local", "subnet": f"10.{number}.0.0/24"}
    name = f"br{number}"
    return {
        "type": "bridge",
        "bridge": name,
        "isDefaultGateway": True,
        "ipMasq": True,
        "capabilities": {"ips": True, "mac": True},
        "ipam": ipam,
        **keys,
    }


@pytest.fixture
def operator(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Operator:
    """An operator with the networks front, back and plain."""
    assert host
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    lists = {
        "front": [bridge(1), portmap],
        "back": [bridge(2), portmap],
        "plain": [bridge(3, capabilities={})],
    }
    (tmp_path / "net.d").mkdir()
    for name, plugins in lists.items():
        document = {"cniVersion": "1.0.0", "name": name, "plugins": plugins}
        (tmp_path / f"net.d/{name}.conflist").write_text(json.dumps(document))
    return Operator(packed, plugin_dir, tmp_path / "net.d")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small Go program around libcni."""
    return libcni_client.build(tmp_path_factory.mktemp("libcni"))


def libcni(operator: Operator, program: Path, verb: str, space: Space) -> None:
    """Have a runtime call libcni for its container "web" on front."""
    env = operator.env | {
        "CNI_CACHE": "/var/lib/cni",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web",
    }
    conflist = f"{env['NETCONFPATH']}/front.conflist"
    run(str(program), verb, conflist, ID, space.path, "eth0", env=env)


@pytest.fixture
def web(operator: Operator, program: Path, host: Host) -> Space:
    """A container of a runtime, on front."""
    space = host.space()
    libcni(operator, program, "add", space)
    return space


def addresses(space: Space) -> dict[str, list[str]]:
    """Return the IPv4 addresses of a container by its interfaces."""
    return {
        link["ifname"]: [each["local"] for each in link["addr_info"]]
        for link in space.ip("-4", "address")
        if link.get("ifname", "lo") != "lo"
    }


def kept() -> dict[str, Any]:
    """Return what runtimes have kept, by the name of the file."""
    return {file.name: json.loads(file.read_text()) for file in RESULTS.iterdir()}


@pytest.mark.parametrize("word", ["netns", "44e0", "web"])
def test_container_of_a_runtime(
    operator: Operator, program: Path, web: Space, host: Host, word: str
) -> None:
    """It is on both networks, reached and reaching, and on one again; DEL is whole."""
    other = host.space()
    operator.ok("add", "back", other.path)
    assert not other.reaches("10.2.0.3")
    said = operator.ok("connect", web.name if word == "netns" else word, "back")
    assert said == f"back {ID}/eth1: 10.2.0.3/24\n"
    assert addresses(web) == {"eth0": ["10.1.0.2"], "eth1": ["10.2.0.3"]}
    assert other.reaches("10.2.0.3")
    assert web.reaches("10.2.0.2")
    file = kept()[f"back-{ID}-eth1"]
    assert (file["containerId"], file["ifName"]) == (ID, "eth1")
    assert file["cniArgs"] == [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]]
    operator.ok("disconnect", word if word != "netns" else web.name, "back")
    assert addresses(web) == {"eth0": ["10.1.0.2"]}
    assert os.listdir(RESULTS / "../networks/back").count("10.2.0.3") == 0
    assert f"back-{ID}-eth1" not in kept()
    libcni(operator, program, "check", web)
    libcni(operator, program, "del", web)
    assert addresses(web) == {}


def test_wishes(operator: Operator, web: Space) -> None:
    """Address, MAC, port and name of the interface are those that were asked for."""
    words = ("--ip", "10.2.0.77", "--mac", "02:00:00:00:00:77", "-p", "8080:80")
    told = json.loads(
        operator.ok("connect", ID, "back", "--ifname", "net9", *words, "--json")
    )
    assert (told["ifname"], told["containerID"]) == ("net9", ID)
    assert told["result"]["ips"][0]["address"] == "10.2.0.77/24"
    (link,) = web.ip("link", "show", "dev", "net9")
    assert link["address"] == "02:00:00:00:00:77"
    assert addresses(web)["net9"] == ["10.2.0.77"]
    with serving(web, "web"):
        assert ask("10.1.0.1", 8080).startswith("web ")
        operator.ok("publish", ID, "9090:80", "--network", "back")
        assert ask("10.1.0.1", 9090).startswith("web ")
        operator.ok("disconnect", ID, "back")
        assert (ask("10.1.0.1", 8080), ask("10.1.0.1", 9090)) == ("", "")


def test_further_interfaces(operator: Operator, web: Space) -> None:
    """Each gets the next free name, of links that no record tells of, too."""
    web.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth3")
    assert "/eth2: " in operator.ok("connect", ID, "back")
    said = operator.refused("connect", ID, "back")
    assert f"connect {ID} to back: it is on it already: as eth2; --ifname" in said
    assert "/again: " in operator.ok("connect", ID, "back", "--ifname", "again")
    assert "/eth4: " in operator.ok("connect", ID, "plain")
    said = operator.refused("disconnect", ID, "back")
    assert "more than once, --ifname chooses: it is on: " in said
    operator.ok("disconnect", ID, "back", "--ifname", "eth2")
    operator.ok("disconnect", ID, "back")
    assert sorted(addresses(web)) == ["eth0", "eth4"]


def test_refusals_change_nothing(operator: Operator, web: Space) -> None:
    """Each says what is wrong, and the container has what it had."""
    before = kept(), addresses(web), run("nft", "list", "ruleset")
    for words, cause in {
        ("connect", "nobody", "back"): "find container nobody: nothing is called so",
        ("connect", ID, "nowhere"): "find network nowhere: no configuration",
        (
            "connect",
            ID,
            "plain",
            "-p",
            "80:80",
        ): "no plugin of its list takes portMappings",
        ("connect", ID, "plain", "--mac", "2:0:0:0:0:1"): "mac",
        ("connect", ID, "back", "--alias", "db"): "no plugin of its list takes aliases",
        ("connect", ID, "back", "--ifname", "eth0"): "has an interface eth0 already",
        ("connect", ID, "back", "--ifname", "a/b"): "interface name contains /",
        ("connect", ID, "back", "--ip", "10.9.9.9"): "10.9.9.9",
        ("connect", ID, "back", "--mac", "red"): "red",
        ("connect", ID, "back", "-p", "80"): "no port of the container is named",
        ("disconnect", ID, "back"): "it is not attached there: it is on: front eth0",
    }.items():
        assert cause in operator.refused(*words), words
        assert (kept(), addresses(web), run("nft", "list", "ruleset")) == before


def test_container_that_died(operator: Operator, web: Space, host: Host) -> None:
    """Its runtime does not know the further network: gc does, and disconnect."""
    operator.ok("connect", ID, "back", "-p", "8080:80")
    operator.ok("connect", ID, "plain")
    web.delete()
    host.spaces.remove(web)
    operator.ok("disconnect", ID, "plain")
    assert set(kept()) == {f"front-{ID}-eth0", f"back-{ID}-eth1"}
    assert operator.ok("gc", "back") == f"deleted {ID}/eth1\n"
    assert set(kept()) == {f"front-{ID}-eth0"}
    assert "10.2.0.2" not in os.listdir("/var/lib/cni/networks/back")
