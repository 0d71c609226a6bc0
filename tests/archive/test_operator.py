# SPDX-License-Identifier: Apache-2.0
"""The packed command with the packed plugins, on a real kernel."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE, need, run
from operating import Operator
from packed_file import TOP
from warm_server import served, wait_until

from cnipy import schema
from cnipy.attachment import container_id_of
from cnipy.demo import stage
from cnipy.packed import roots_of
from launcher import keys
from plugins import REGISTER

if TYPE_CHECKING:
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


@pytest.fixture
def operator(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Operator:
    """An operator with one network of bridge and portmap."""
    assert host
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-n.conflist").write_text(json.dumps(CONFLIST))
    operator = Operator(packed, plugin_dir, tmp_path / "net.d")
    operator.env["CAP_ARGS"] = json.dumps(PORTS)
    return operator


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


def replace_list(operator: Operator) -> None:
    """Have another network in the place of n, as an administrator would."""
    conf_dir = Path(operator.env["NETCONFPATH"])
    (conf_dir / "10-n.conflist").unlink()
    document = CONFLIST | {"name": "m"}
    (conf_dir / "10-m.conflist").write_text(json.dumps(document))


def leases(network: str) -> list[str]:
    """Return the addresses that are leased in a network."""
    listed = os.listdir(f"/var/lib/cni/networks/{network}")
    return sorted(name for name in listed if name[0].isdigit())


def left_by(container_id: str) -> list[str]:
    """Return what rules, records, leases and results still say of a container."""
    rules = run("nft", "list", "ruleset").splitlines()
    found = [line.strip() for line in rules if container_id in line]
    for top in ("/run/cni", "/var/lib/cni"):
        for path in Path(top).rglob("*"):
            text = path.read_text() if path.is_file() else ""
            if container_id in f"{path.name}{text}" and "host-local" not in path.parts:
                found.append(str(path))
    return found


def vanish(space: Space, host: Host, heir: Space) -> None:
    """Have a namespace gone, and its number with a living container's.

    The kernel gives it to the next namespace that is made, which may be another test's.
    """
    ours, theirs = (
        f"{found.st_dev}:{found.st_ino}"
        for found in (os.stat(space.path), os.stat(heir.path))
    )
    for record in Path("/run/cni/cnipy").glob("*/n/*@eth0"):
        record.write_text(record.read_text().replace(ours, theirs))
    space.delete()
    host.spaces.remove(space)


@pytest.mark.parametrize("with_results", [True, False])
def test_gc_of_the_node_collects_what_a_replaced_list_left(
    with_results: bool,  # noqa: FBT001 - a parameter of the test
    operator: Operator,
    host: Host,
    container: Space,
) -> None:
    """Of a network that no list names any more, the dead go and the living stay.

    Without the cached result the records alone are enough.
    """
    vanished = host.space()
    operator("add", "n", vanished.path)
    operator.env["CAP_ARGS"] = "{}"
    assert operator("add", "n", container.path).returncode == 0
    replace_list(operator)
    if not with_results:
        shutil.rmtree("/var/lib/cni/results")
    dead, living = map(container_id_of, (vanished.path, container.path))
    vanish(vanished, host, container)
    before = left_by(dead)
    planned = operator("gc", "--dry-run")
    assert planned.stdout.startswith(f"would delete n {dead}/eth0: record of bridge")
    assert left_by(dead) == before != []
    collected = operator("gc")
    assert collected.stderr == ""
    assert collected.stdout == planned.stdout.replace("would delete", "deleted")
    assert left_by(dead) == []
    assert leases("n") == ["10.9.0.3"]
    assert left_by(living)
    assert operator("gc").stdout == ""


def test_gc_of_the_node_keeps_a_container_whose_name_is_gone(
    operator: Operator, host: Host, container: Space
) -> None:
    """A namespace that only a process still has is no dead one, whatever its path."""
    assert host
    operator("add", "n", container.path)
    sleeper = subprocess.Popen(
        ["ip", "netns", "exec", container.name, "busybox", "sleep", "60"]
    )
    try:
        there = os.stat(container.path).st_ino
        inside = f"/proc/{sleeper.pid}/ns/net"
        wait_until(lambda: os.stat(inside).st_ino == there)
        container.delete()
        host.spaces.remove(container)
        assert operator("gc").stdout == ""
        assert leases("n") == ["10.9.0.2"]
        assert f"process {sleeper.pid} has a network" in operator("gc").stderr
    finally:
        sleeper.kill()
        sleeper.wait()
    wait_until(lambda: operator("gc").stdout.startswith("deleted n "), 60)
    assert leases("n") == []


def test_gc_of_the_node_tells_what_nobody_can_tell_about(operator: Operator) -> None:
    """A lease without record or result is kept, and said with the ways out."""
    place = Path("/var/lib/cni/networks/old")
    place.mkdir(parents=True)
    (place / "10.8.0.9").write_text("stranger\r\neth0")
    (place / "last_reserved_ip.0").write_text("10.8.0.9")
    collected = operator("gc")
    assert (collected.returncode, collected.stdout) == (0, "")
    assert f"kept leases in {place}" in collected.stderr
    assert "10.8.0.9 (stranger); `cnipy gc old`" in collected.stderr
    assert leases("old") == ["10.8.0.9"]


def test_status_of_the_node_tells_builds_and_server(
    operator: Operator, packed: Path, build: str
) -> None:
    """Which build lies in CNI_PATH, and whether a warm server takes its calls."""
    told = operator("status").stdout
    assert f"{operator.env['CNI_PATH']}: build {build}: bandwidth bridge" in told
    assert "warm server: nobody listens at /run/cnipy/warm.sock" in told
    with served(packed):
        assert f"warm server: serves build {build}\n" in operator("status").stdout
    other = Path(operator.env["CNI_PATH"])
    for name in REGISTER:
        (other / name).unlink()
        head = f"# cnipy, build {'0' * 32}\n"
        (other / name).write_text(f"#!/bin/sh\n{head}exit 1\n")
    with served(packed):
        told = operator("status").stdout
    assert f"warm server: serves build {build} only, calls start cold" in told


def test_status_of_the_node_names_damaged_files(operator: Operator) -> None:
    """A file that keeps the others from being read is told with the reason."""
    damaged = Path(operator.env["NETCONFPATH"]) / "00-damaged.conflist"
    damaged.write_text("{")
    told = operator("status").stdout
    assert f"no network: decode {damaged}: " in told
    assert "network n: " in told


def test_what_is_not_there_is_named(operator: Operator) -> None:
    """A process that does not exist, and a directory that does not."""
    assert "no process has this ID" in operator("add", "n", "99999999").stderr
    operator.env["NETCONFPATH"] = "/nonexistent"
    assert "there is no such directory" in operator("add", "n", "99999999").stderr


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
        [command, "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * PATIENCE,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "FAIL" not in played.stdout
    after = subprocess.run(["ip", "link"], capture_output=True, check=True).stdout
    assert after == links


def test_demo_holds_below_what_it_empties(packed: Path) -> None:
    """Plugins and the extracted tree may lie in /run, as where /var takes no files."""
    need("dnsmasq")
    # Doorstep refuses a root that everybody may write to, and takes /run/cnipy.
    root = roots_of(str(packed))[0]
    script = (
        f"mkdir -p {root} && mount -t tmpfs -o mode=1777 tmpfs {root} && "
        "mount -t tmpfs -o mode=755 tmpfs /run && "
        f"cp -a {packed.parent} /run/plugins && "
        "/run/plugins/cnipy demo && ls /run/cnipy/*/bundle"
    )
    played = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * PATIENCE,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "all held" in played.stdout


def test_demo_names_the_file_that_it_cannot_read(operator: Operator) -> None:
    """Verb, object and cause, before anything is set up."""
    told = operator("demo", "--conf", "/nonexistent.conflist").stderr
    assert told == (
        "cnipy: read /nonexistent.conflist: No such file or directory (code 5)\n"
    )


def test_demo_from_a_checkout_finds_its_example() -> None:
    """The example list is found beside the sources too."""
    assert os.path.samefile(
        stage.example(), TOP / "conf-examples/22-podman-created.conflist"
    )


def test_packed_command_knows_the_keys_of_the_pages(packed: Path) -> None:
    """What the build has written down is what the checkout says, for anybody."""
    whole = json.dumps(schema.document(keys.known(), None))
    words = [packed, "schema"]
    nobody = subprocess.run(words, user=65534, capture_output=True, check=True)
    assert json.loads(nobody.stdout) == json.loads(whole)
