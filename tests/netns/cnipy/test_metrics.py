# SPDX-License-Identifier: Apache-2.0
"""`cnipy metrics`: read by Prometheus' own parser, compared with ip(8) and nft(8)."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from lab import need, run
from measurements import samples, value
from netns.cnipy.helpers import Desk
from netns.cnipy.test_looking import BRIDGE, PORTMAP
from netns.portmap.helpers import ask, serving

from cni_common.frame import counters
from cnipy.attachment import container_id_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with a network of eight addresses; nothing has been counted."""
    shutil.rmtree(counters.DIRECTORY, ignore_errors=True)
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, PORTMAP)
    return desk


def test_calls_are_counted_with_delegates_and_errors(desk: Desk, host: Host) -> None:
    """Each plugin and verb, a delegate as a call of its own, an error by its code."""
    spaces = [host.space() for _ in range(3)]
    for space in spaces:
        desk.attach("n", space)
    broken = {"cniVersion": "1.1.0", "name": "n", **BRIDGE, "mtu": "large"}
    for _ in range(2):
        refused = desk.cni.refused("bridge", "ADD", broken, netns=spaces[0])
    assert refused["code"] == 7
    text = desk.ok("metrics")
    for plugin, number in (("bridge", 5), ("host-local", 3), ("portmap", 3)):
        labels = {"plugin": plugin, "verb": "ADD"}
        assert value(text, "cnipy_calls_total", **labels) == number
        assert value(text, "cnipy_call_duration_seconds_count", **labels) == number
        bounds = value(text, "cnipy_call_duration_seconds_bucket", **labels, le="+Inf")
        assert bounds == number
        assert value(text, "cnipy_call_duration_seconds_sum", **labels) > 0
    failed = {
        tuple(sorted(labels)): number
        for (name, labels), number in samples(text).items()
        if name == "cnipy_call_errors_total"
    }
    assert failed == {(("code", "7"), ("plugin", "bridge"), ("verb", "ADD")): 2}


def test_seconds_are_those_that_pass(desk: Desk, host: Host, tmp_path: Path) -> None:
    """A bridge whose IPAM plugin sleeps takes as long, and is counted there."""
    slow = tmp_path / "slow"
    slow.write_text(
        "#!/bin/sh\nsleep 0.3\n"
        """echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.4.0.9/24"}]}'\n"""
    )
    slow.chmod(0o755)
    conf = {"cniVersion": "1.1.0", "name": "s", "type": "bridge", "bridge": "br1"}
    conf["ipam"] = {"type": "slow"}  # type: ignore[assignment] # a document
    path = f"{desk.cni.plugin_path}:{tmp_path}"
    desk.cni.ok("bridge", "ADD", conf, netns=host.space(), path=path)
    text = desk.ok("metrics")
    labels = {"plugin": "bridge", "verb": "ADD"}
    assert 0.3 <= value(text, "cnipy_call_duration_seconds_sum", **labels) < 30
    shorter = value(text, "cnipy_call_duration_seconds_bucket", **labels, le="0.25")
    assert shorter == 0


def test_gauges_are_what_the_node_has(desk: Desk, host: Host) -> None:
    """Addresses used and free, published ports, attachments, those of the dead."""
    first, second = host.space(), host.space()
    desk.attach("n", first, ports=[8080, 8081])
    desk.attach("n", second)
    second.delete()
    text = desk.ok("metrics")
    labels = {"network": "n", "subnets": "10.9.0.0/29"}
    used = value(text, "cnipy_addresses_used", **labels)
    assert (used, value(text, "cnipy_addresses_free", **labels)) == (2, 3)
    assert value(text, "cnipy_published_ports", network="n", protocol="tcp") == 2
    assert value(text, "cnipy_attachments", network="n") == 2
    assert value(text, "cnipy_attachments_dead", network="n") == 1
    assert value(text, "cnipy_unreadable") == 0


def test_bytes_are_the_containers_own(desk: Desk, host: Host) -> None:
    """Receive and transmit as ip(8) counts them inside the container."""
    space = host.space()
    desk.attach("n", space)
    (at,) = space.ip("-4", "address", "show", "eth0")
    address = at["addr_info"][0]["local"]
    run(need("busybox"), "ping", "-c3", "-s1200", address)
    container = container_id_of(space.path)
    before = _traffic(space)
    text = desk.ok("metrics")
    after = _traffic(space)
    labels = {"network": "n", "container": container, "ifname": "eth0"}
    for way, low, high in zip(("receive", "transmit"), before, after, strict=True):
        told = value(text, f"cnipy_container_{way}_bytes_total", **labels)
        assert 3600 < low <= told <= high, way


def _traffic(space: Space) -> tuple[int, int]:
    (link,) = space.ip("-s", "link", "show", "eth0")
    return link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"]


def test_repairs_are_counted(desk: Desk, host: Host) -> None:
    """What was put back counts as done; a look without work, and a dry run, do not."""
    desk.attach("n", host.space())
    desk.ok("repair")
    assert value(desk.ok("metrics"), "cnipy_repairs_total") == 0
    run("nft", "flush", "ruleset")
    desk.ok("repair", "--dry-run")
    assert value(desk.ok("metrics"), "cnipy_repairs_total") == 0
    lines = desk.ok("repair").splitlines()
    text = desk.ok("metrics")
    assert len(lines) > 0
    told = value(text, "cnipy_repairs_total", plugin="bridge", outcome="done")
    assert told == len(lines)


def test_textfile_is_replaced_whole(desk: Desk, tmp_path: Path) -> None:
    """Readable by all, no link is followed, nothing else is left in the directory."""
    directory = tmp_path / "collector"
    directory.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    file = directory / "cnipy.prom"
    file.symlink_to(victim)
    assert desk.ok("metrics", "--textfile", str(file)) == ""
    assert victim.read_text() == "mine"
    assert stat.S_ISREG(file.lstat().st_mode)
    assert stat.S_IMODE(file.lstat().st_mode) == 0o644
    assert value(file.read_text(), "cnipy_build_info") == 1
    assert [each.name for each in directory.iterdir()] == ["cnipy.prom"]


def test_textfile_that_cannot_be_written_stays(desk: Desk, tmp_path: Path) -> None:
    """A full file system is one line and status 1; what was there is there."""
    place = tmp_path / "small"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=9", "none", str(place))
    try:
        file = place / "cnipy.prom"
        file.write_text("old\n")
        told = desk.refused("metrics", "--textfile", str(file))
        assert "write" in told
        assert "no space left on device" in told
        assert file.read_text() == "old\n"
        assert os.listdir(place) == ["cnipy.prom"]
    finally:
        run("umount", str(place))
    assert "no such file" in desk.refused("metrics", "--textfile", "/nowhere/x.prom")


def test_what_is_unreadable_is_a_number(desk: Desk, host: Host) -> None:
    """One list that is none keeps the others from nothing."""
    desk.attach("n", host.space())
    (desk.conf_dir / "broken.conflist").write_text('{"cniVersion": "1.1.0"')
    stdout, stderr = desk.both("metrics")
    assert "broken.conflist" in stderr
    assert value(stdout, "cnipy_unreadable") >= 1
    assert value(stdout, "cnipy_addresses_used", network="n") > 0


def test_document_has_the_same(desk: Desk, host: Host) -> None:
    """--json tells each sample as the text does."""
    desk.attach("n", host.space())
    document = json.loads(desk.ok("metrics", "--json"))
    text = desk.ok("metrics")
    told = {
        (each["name"], frozenset(each["labels"].items())): each["value"]
        for family in document
        for each in family["samples"]
    }
    assert told.keys() == samples(text).keys()


def test_bytes_of_published_ports(desk: Desk, host: Host) -> None:
    """Those that count are told, as the kernel has counted them, and no others."""
    space, other = host.space(), host.space()
    desk.network("counted", BRIDGE | {"bridge": "br7"}, PORTMAP | {"counters": True})
    result = desk.attach("counted", space, ports=[7070])
    desk.attach("n", other, ports=[8080])
    with serving(space, "web"), serving(other, "other"):
        assert ask("127.0.0.1", 7070)
        assert ask("127.0.0.1", 8080)
    text = desk.ok("metrics")
    table = json.loads(run("nft", "-j", "list", "table", "inet", "cnipy_portmap"))
    listed = {
        item["set"]["name"]: item["set"].get("elem", [])
        for item in table["nftables"]
        if "set" in item
    }
    labels = {
        "network": "counted",
        "container": container_id_of(space.path),
        "ifname": "eth0",
        "protocol": "tcp",
        "port": "7070",
        "address": result["ips"][0]["address"].partition("/")[0],
    }
    for way, name in (("receive", "received4"), ("transmit", "sent4")):
        (element,) = listed[name]
        for what in ("bytes", "packets"):
            family = f"cnipy_published_port_{what}_total"
            found = value(text, family, **labels, direction=way)
            assert found == element["elem"]["counter"][what] > 0
    assert 'port="8080"' not in text
