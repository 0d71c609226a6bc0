# SPDX-License-Identifier: Apache-2.0
"""`cnipy rename` and `alias`: what dnsmasq answers to a neighbour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lab import need
from netns.cnipy.helpers import Desk, attachment_words
from netns.cnipy.living import attach, call, file_of, kept
from netns.dnsname.helpers import NXDOMAIN, Names, ask
from netns.portmap.helpers import left

from cnipy.attachment import container_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

DNSNAME = {
    "type": "dnsname",
    "domainName": "dns.podman",
    "capabilities": {"aliases": True},
}


def bridge(number: int) -> dict[str, object]:
    """Return a bridge with the gateway 10.NUMBER.0.1."""
    ipam = {"type": "host-local", "subnet": f"10.{number}.0.0/24"}
    name = f"br{number}"
    return {"type": "bridge", "bridge": name, "isGateway": True, "ipam": ipam}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Iterator[Desk]:
    """An operator with the networks n and m, which have names, and bare."""
    need("dnsmasq")
    desk = Desk(host, cni, tmp_path)
    desk.network("n", bridge(1), DNSNAME)
    desk.network("m", bridge(2), DNSNAME | {"capabilities": {}})
    desk.network("bare", bridge(3))
    yield desk
    Names(host, cni).close()


@pytest.fixture
def web(desk: Desk, host: Host) -> Space:
    """A container that is called web on n, by what its runtime says."""
    space = host.space()
    attach(desk, "n", space)
    return space


def asked(space: Space, name: str, network: int = 1) -> list[str] | None:
    """Return the addresses that a container is told for a name, None for NXDOMAIN."""
    with space.entered():
        reply = ask(name, at=f"10.{network}.0.1")
    return None if reply.code == NXDOMAIN else reply.found


def test_rename(desk: Desk, web: Space) -> None:
    """It is found by the new name, and by the old one no more."""
    desk.ok("rename", web.name, "old")
    assert asked(web, "old.dns.podman") == ["10.1.0.2"]
    printed = desk.ok("rename", web.name, "db")
    assert printed == f"{attachment_words('n', web)}: db.dns.podman, db\n"
    assert asked(web, "db.dns.podman") == asked(web, "db") == ["10.1.0.2"]
    assert asked(web, "old.dns.podman") is None
    args = kept(file_of(web))["cniArgs"]
    assert args == [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "db"]]
    assert kept(file_of(web))["result"]["dns"]["search"] == ["dns.podman"]


def test_aliases(desk: Desk, web: Space, host: Host) -> None:
    """They come and go, stay when the name is another, and may be of several."""
    other = host.space()
    attach(desk, "n", other)
    desk.ok("rename", web.name, "web")
    desk.ok("alias", web.name, "db", "cache")
    desk.ok("alias", web.name, "db")
    assert asked(other, "cache.dns.podman") == asked(other, "db") == ["10.1.0.2"]
    assert kept(file_of(web))["capabilityArgs"]["aliases"] == {"n": ["db", "cache"]}
    desk.ok("alias", other.name, "db")
    assert sorted(asked(other, "db.dns.podman") or []) == ["10.1.0.2", "10.1.0.3"]
    desk.ok("rename", web.name, "site")
    told = json.loads(desk.ok("alias", web.name, "cache", "--remove", "--json"))
    assert told[0]["names"] == ["site.dns.podman", "site", "db.dns.podman", "db"]
    assert asked(other, "cache.dns.podman") is None
    assert asked(other, "site.dns.podman") == ["10.1.0.2"]
    assert desk.ok("repair") == ""


def test_each_network_or_one(desk: Desk, web: Space) -> None:
    """A name is given on all networks that have names, or on the one that is named."""
    attach(desk, "m", web, ifname="eth1")
    attach(desk, "bare", web, ifname="eth2")
    desk.ok("rename", web.name, "db")
    assert asked(web, "db.dns.podman") == ["10.1.0.2"]
    assert asked(web, "db.dns.podman", 2) == ["10.2.0.2"]
    desk.ok("rename", web.name, "there", "--network", "m")
    assert asked(web, "there.dns.podman") is None
    assert asked(web, "there.dns.podman", 2) == ["10.2.0.2"]
    desk.ok("alias", web.name, "more")  # m takes none
    assert asked(web, "more.dns.podman") == ["10.1.0.2"]


def test_failure_on_the_second_network(desk: Desk, web: Space) -> None:
    """Where one network cannot have it, no network has it."""
    first, second = attach(desk, "m", web, ifname="eth1"), file_of(web)
    desk.ok("rename", web.name, "db")
    before = kept(first)
    document = json.loads(second.read_text())
    document["result"]["ips"] = []
    second.write_text(json.dumps(document))
    assert "prevResult has no address" in desk.refused("rename", web.name, "site")
    for number in (1, 2):
        assert asked(web, "site.dns.podman", number) is None
        assert asked(web, "db.dns.podman", number) == [f"10.{number}.0.2"]
    assert kept(first) == before


def test_what_is_refused(desk: Desk, web: Space, host: Host) -> None:
    """One line says what is wrong; the names are what they were."""
    other, bare = host.space(), host.space()
    attach(desk, "n", other)
    attach(desk, "bare", bare)
    desk.ok("rename", web.name, "web")
    desk.ok("alias", web.name, "www")
    before = kept(file_of(other))
    for words, cause in {
        ("rename", other.name, "WEB"): f"{container_id_of(web.path)} is called WEB",
        ("rename", other.name, "www"): "is called www: an alias may be of several",
        ("rename", other.name, "a b"): "'a b' cannot be the name of a host",
        ("rename", other.name, "a;b=c"): "'a;b=c' cannot be the name of a host",
        ("alias", other.name, "-x-" * 30): "cannot be the name of a host",
        ("alias", other.name, "db", "--remove"): "db is no alias of it: aliases: none",
        ("rename", bare.name, "db"): "the list of bare has none",
    }.items():
        extra = ["--"] if words[2].startswith("-") else []
        said = desk.refused(*words[:2], *extra, *words[2:])
        assert cause in said, words
        assert kept(file_of(other)) == before


def test_del_leaves_no_name(desk: Desk, web: Space) -> None:
    """Though the runtime says the old names."""
    desk.ok("alias", web.name, "db")
    call(desk, file_of(web), "DEL", aliases={})
    assert [path for path in left() if "/host-local/" not in path] == []
