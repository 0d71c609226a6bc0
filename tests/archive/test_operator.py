# SPDX-License-Identifier: Apache-2.0
"""The packed command with the packed plugins, on a real kernel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import need
from packed_file import TOP

from cnipy.demo import stage

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host, Space

CONFLIST = {
    "cniVersion": "1.1.0",
    "name": "n",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "br0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


class Operator:
    """Somebody with a shell on the node."""

    def __init__(self, packed: Path, plugins: Path, conf_dir: Path) -> None:
        self.packed = packed
        self.env = {
            "PATH": os.environ["PATH"],
            "CNI_PATH": str(plugins),
            "NETCONFPATH": str(conf_dir),
            "CAP_ARGS": json.dumps(PORTS),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [self.packed, *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def operator(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Operator:
    """An operator with one network of bridge and portmap."""
    assert host
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-n.conflist").write_text(json.dumps(CONFLIST))
    return Operator(packed, plugin_dir, tmp_path / "net.d")


def links_of(space: Space) -> list[str]:
    """Return the names of a namespace's links."""
    return [link["ifname"] for link in space.ip("link", "show")]


def test_add_check_del(operator: Operator, container: Space) -> None:
    """A container is attached, found in order, and detached without remains."""
    added = operator("add", "n", container.path)
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["ips"][0]["address"] == "10.9.0.2/24"
    assert "eth0" in links_of(container)
    assert operator("check", "n", container.path).stderr == ""
    assert operator("del", "n", container.path).stderr == ""
    assert "eth0" not in links_of(container)
    assert os.listdir("/var/lib/cni/results") == []


def test_service_that_loses_its_port_is_named(
    operator: Operator, container: Space
) -> None:
    """`cnipy add` tells which process a published port takes packets from."""
    with socket.create_server(("0.0.0.0", 8080)):
        added = operator("add", "n", container.path)
    assert json.loads(added.stdout)["ips"]
    said = f"portmap: tcp port 8080 leads past process {os.getpid()} "
    assert added.stderr.startswith(said)
    assert added.stderr.count("\n") == 1


def test_check_notices_a_lost_link(operator: Operator, container: Space) -> None:
    """CHECK fails with one line once the container's link is gone."""
    operator("add", "n", container.path)
    container.run("ip", "link", "delete", "eth0")
    checked = operator("check", "n", container.path)
    assert checked.returncode == 1
    assert checked.stderr.startswith("cnipy: bridge: ")
    assert checked.stderr.count("\n") == 1


def test_gc_collects_a_container_that_vanished(
    operator: Operator, host: Host, container: Space
) -> None:
    """After a namespace went without DEL, gc frees its address and keeps the living.

    The other one was refused a host port that was taken, and left nothing either.
    """
    vanished = host.space()
    assert operator("add", "n", container.path).returncode == 0
    refused = operator("add", "n", vanished.path)
    assert refused.returncode == 1
    assert "8080" in refused.stderr
    operator.env["CAP_ARGS"] = "{}"
    assert operator("add", "n", vanished.path).returncode == 0
    vanished.delete()
    host.spaces.remove(vanished)
    collected = operator("gc", "n")
    assert (collected.returncode, collected.stdout.count("deleted")) == (0, 1)
    leases = [n for n in os.listdir("/var/lib/cni/networks/n") if n[0].isdigit()]
    assert leases == ["10.9.0.2"]
    assert operator("check", "n", container.path).stderr == ""


def test_status_and_version(operator: Operator) -> None:
    """Packed plugins are ready, and say which versions they speak."""
    assert operator("status", "n").stderr == ""
    assert "portmap: 0.1.0" in operator("version", "n").stdout


def test_demo_holds(packed: Path, tmp_path: Path) -> None:
    """The demonstration passes, called by a link, and leaves nothing where it was."""
    need("dnsmasq")
    command = tmp_path / "cnipy"
    command.symlink_to(packed)
    links = subprocess.run(["ip", "link"], capture_output=True, check=True).stdout
    played = subprocess.run(
        [command, "demo"], capture_output=True, text=True, check=False, timeout=120
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "FAIL" not in played.stdout
    after = subprocess.run(["ip", "link"], capture_output=True, check=True).stdout
    assert after == links


def test_demo_from_a_checkout_finds_its_example() -> None:
    """The example list is found beside the sources too."""
    assert os.path.samefile(
        stage.example(), TOP / "conf-examples/22-podman-created.conflist"
    )
