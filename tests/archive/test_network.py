# SPDX-License-Identifier: Apache-2.0
"""A network's whole life by the packed command: created, used, removed."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE, need, run
from operating import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Host, Space


@pytest.fixture
def node(packed: Path, plugin_dir: Path, tmp_path: Path, host: Host) -> Operator:
    """An operator of a node that has no network."""
    assert host
    return Operator(packed, plugin_dir, tmp_path / "net.d")


@contextmanager
def served(space: Space, port: int, directory: Path) -> Iterator[None]:
    """Have a web server in a container, with what is in a directory."""
    enter = ["nsenter", f"--net={space.path}", "python3", "-m", "http.server"]
    command = [*enter, "--directory", str(directory), str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60 * PATIENCE
        while f":{port} " not in space.run("ss", "-ltn") and time.monotonic() < until:
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()


def page(space: Space, url: str) -> str:
    """Return what curl gets from a namespace."""
    return space.run(need("curl"), "-gsS", "--max-time", f"{30 * PATIENCE:.0f}", url)


def in_kernel() -> tuple[set[str], list[str]]:
    """Return the links of the host, and our tables."""
    links = {link["ifname"] for link in json.loads(run("ip", "-j", "link"))}
    listed: list[dict[str, Any]] = json.loads(run("nft", "-j", "list", "tables"))[
        "nftables"
    ]
    names = [each["table"]["name"] for each in listed if "table" in each]
    return links, [name for name in names if name.startswith("cnipy_")]


def test_network_from_create_to_rm(node: Operator, host: Host, tmp_path: Path) -> None:
    """Its ports, names and addresses work by traffic, and nothing of it is left."""
    need("dnsmasq")
    outside = host.outside()
    before = in_kernel()
    file = Path(node.ok("network", "create", "front", "--ipv6", "--isolate").strip())
    assert file == tmp_path / "net.d/10-front.conflist"
    ranges = json.loads(file.read_text())["plugins"][0]["ipam"]["ranges"]
    first, second = (each[0]["gateway"] for each in ranges)
    web, client = host.space(), host.space()
    address = first.rpartition(".")[0] + ".77"
    words = ["-p", "8080-8081:80-81", "--ip", address, "--mac", "02:00:00:00:00:77"]
    planned = node.ok("add", "front", web.path, *words, "--dry-run")
    assert f"tcp port 8081 leads to port 81, at {address}" in planned
    assert web.ip("link", "show") == list(web.ip("link", "show", "lo"))
    result = json.loads(node.ok("add", "front", web.path, *words, "--name", "web"))
    assert result["ips"][0]["address"] == f"{address}/24"
    (link,) = web.ip("link", "show", "dev", "eth0")
    assert link["address"] == "02:00:00:00:00:77"
    assert "8081" in node.refused("add", "front", client.path, "-p", "8081:81")
    node.ok("add", "front", client.path, "--name", "client", "--ifname", "net0")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/index.html").write_text("hello")
    with served(web, 80, tmp_path / "served"):
        assert page(outside, "http://198.51.100.1:8080/") == "hello"
        assert page(client, f"http://{address}/") == "hello"
    for server in (first, second):
        asked = client.run(need("busybox"), "nslookup", "web.dns.internal", server)
        assert address in asked
    node.ok("check", "front", client.path, "--ifname", "net0")
    said = node.refused("network", "rm", "front")
    assert "it is used by 2: cnitool-" in said
    node.ok("del", "front", client.path, "--ifname", "net0")
    node.ok("del", "front", web.path)
    assert "removed bridge br-front" in node.ok("network", "rm", "front")
    assert in_kernel() == before
    assert list((tmp_path / "net.d").iterdir()) == []
    assert not Path("/var/lib/cni/networks/front").exists()


def test_limits_of_add_are_the_kernels(node: Operator, host: Host) -> None:
    """tbf on both ways has the rates that the words say."""
    node.ok("network", "create", "slow", "--bandwidth", "--no-names")
    space = host.space()
    words = ["--limit-ingress", "8M", "--limit-egress", "1.5Mbit"]
    node.ok("add", "slow", space.path, *words)
    found = json.loads(run("tc", "-j", "qdisc", "show"))
    rates = sorted(each["options"]["rate"] for each in found if each["kind"] == "tbf")
    assert rates == [1_500_000 // 8, 8_000_000 // 8]
    node.ok("del", "slow", space.path)


def test_internal_network_leads_nowhere(node: Operator, host: Host) -> None:
    """Neighbours reach each other; there is no way out, and no port in."""
    outside = host.outside()
    node.ok("network", "create", "inside", "--internal", "--no-names")
    one, two = host.space(), host.space()
    node.ok("add", "inside", one.path)
    result = json.loads(node.ok("add", "inside", two.path))
    address = result["ips"][0]["address"].partition("/")[0]
    assert one.reaches(address)
    assert one.ip("route", "show", "default") == []
    assert not one.reaches("198.51.100.2")
    assert outside.reaches("198.51.100.1")
    said = node.refused("add", "inside", one.path, "-p", "8080:80")
    assert "takes portMappings" in said


def test_version_has_the_build(node: Operator, build: str) -> None:
    """--version prints which build this is, as the file itself says."""
    assert node.ok("--version").strip().endswith(f", build {build}")
