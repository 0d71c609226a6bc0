# SPDX-License-Identifier: Apache-2.0
"""`cnipy explain` and `cnipy show`: what would be, and what is."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.cnipy.helpers import Desk, attachment_words

if TYPE_CHECKING:
    from lab import Cni, Host

BRIDGE = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
PTP = {
    "type": "ptp",
    "ipam": {"type": "static", "addresses": [{"address": "10.8.0.2/24"}]},
}


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with the networks n and p."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, PORTMAP)
    desk.network("p", PTP)
    return desk


def state() -> dict[str, str]:
    """Return every file below the places where plugins write, with its content."""
    tops = ("/run/cni", "/var/lib/cni")
    paths = [path for top in tops for path in Path(top).rglob("*")]
    return {str(p): p.read_text() if p.is_file() else "" for p in paths}


def kernel() -> tuple[str, ...]:
    """Return links, addresses and rules of the host.

    Link-local addresses are given by the kernel when it has the time.
    """
    links = run("ip", "-br", "link"), run("ip", "-4", "address")
    return *links, run("ip", "route"), run("nft", "list", "ruleset")


def test_plan_is_told_with_nothing_done(desk: Desk, host: Host) -> None:
    """explain says a sentence a part, with the next address, and leaves no trace."""
    desk.attach("n", host.space())
    before = state(), kernel()
    told = desk.ok("explain", "n")
    assert "host-local gives 10.9.0.3/24" in told
    assert "bridge br0 is up" in told
    assert "10.9.0.0/24 is masqueraded" in told
    assert told.endswith("portmap\n")
    assert (state(), kernel()) == before
    whole = json.loads(desk.ok("explain", "n", "--json"))
    assert [step["type"] for step in whole] == ["bridge", "portmap"]
    kinds = [part["part"] for part in whole[0]["parts"]]
    assert {"bridge", "veth", "addresses", "masqueraded"} <= set(kinds)
    assert (state(), kernel()) == before


def test_plan_of_a_file_is_told_before_it_is_a_network(
    desk: Desk, tmp_path: Path
) -> None:
    """What a list would do is told of its file, wherever that lies."""
    document = {"cniVersion": "1.0.0", "name": "n", "plugins": [PTP]}
    file = tmp_path / "elsewhere.conflist"
    file.write_text(json.dumps(document))
    assert desk.ok("explain", str(file)).startswith("ptp\n")
    single = tmp_path / "elsewhere.conf"
    single.write_text(json.dumps({**PTP, "cniVersion": "1.0.0", "name": "n"}))
    assert desk.ok("explain", str(single)).startswith("ptp\n")
    assert desk.ok("explain", "n").startswith("bridge\n")
    file.unlink()
    assert f"read {file}" in desk.refused("explain", str(file))


def test_plan_of_stdin_is_that_of_a_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is explained before it is a file anywhere; garbage is named."""
    content = (desk.conf_dir / "p.conflist").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    told = desk.ok("explain", "-", "--json")
    ptp = json.loads(told)[0]
    assert (ptp["type"], ptp["ipam"]["type"]) == ("ptp", "static")
    assert "10.8.0.2/24" in told
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    assert "/dev/stdin" in desk.refused("explain", "-")


def test_nothing_attached_is_told(desk: Desk) -> None:
    """An empty tree is a sentence for a person, and no element for a program."""
    assert desk.ok("show") == "nothing is attached\n"
    assert json.loads(desk.ok("show", "--json")) == []


def test_published_ports_are_told_with_nothing_done(desk: Desk) -> None:
    """explain tells ports, and refuses conditions that the kernel does not take."""
    ports = {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}
    desk.network("q", BRIDGE, {**PORTMAP, "runtimeConfig": ports})
    before = state(), kernel()
    told = desk.ok("explain", "q")
    assert "tcp port 8080 leads to port 80, at 10.9.0.2\n" in told
    conditions = {"conditionsV4": ["no", "such", "match"]}
    desk.network("q", BRIDGE, {**PORTMAP, "runtimeConfig": ports, **conditions})
    assert "! as things are now: use conditionsV4" in desk.ok("explain", "q")
    assert (state(), kernel()) == before


def test_plan_on_an_untouched_host(desk: Desk) -> None:
    """explain needs neither bridge nor lease directory, and makes none."""
    before = state(), kernel()
    assert "host-local gives 10.9.0.2/24" in desk.ok("explain", "n")
    assert "static gives 10.8.0.2/24" in desk.ok("explain", "p")
    assert (state(), kernel()) == before


def test_plan_is_what_add_does(desk: Desk, host: Host) -> None:
    """With NETNS the names are those that ADD gives, too."""
    space = host.space()
    told = json.loads(desk.ok("explain", "n", space.path, "--json"))
    (veth,) = (p for p in told[0]["parts"] if p["part"] == "veth")
    desk.attach("n", space)
    assert veth["host"] in {link["ifname"] for link in run_links()}


def run_links() -> Any:
    """Return the links of the host."""
    return json.loads(run("ip", "-j", "link"))


def test_foreign_ipam_is_not_asked(desk: Desk) -> None:
    """Addresses of another suite's IPAM plugin are not known before ADD."""
    desk.network("n", BRIDGE | {"ipam": {"type": "whereabouts"}})
    assert "whereabouts gives addresses that only ADD will know" in desk.ok(
        "explain", "n"
    )


def test_full_range_and_wrong_key_are_told(desk: Desk) -> None:
    """What ADD would refuse, explain refuses with the same words."""
    ipam = {"type": "host-local", "subnet": "10.9.0.0/30", "rangeStart": "10.9.0.1"}
    ipam["rangeEnd"] = "10.9.0.1"
    desk.network("n", BRIDGE | {"ipam": ipam})
    said = desk.refused("explain", "n")
    assert "no IP addresses available" in said
    desk.network("n", BRIDGE | {"mtu": "large"})
    assert "bridge: " in desk.refused("explain", "n")
    assert "there are: n p" in desk.refused("explain", "x")


def test_attachment_is_shown_with_what_differs(desk: Desk, host: Host) -> None:
    """show has the parts of the record, and what somebody took away."""
    space = host.space()
    desk.attach("n", space, ports=[8080])
    shown = desk.ok("show", "n", "--parts")
    assert shown.startswith(f"{attachment_words('n', space)}, {space.path}\n")
    assert "10.9.0.0/24 is masqueraded" in shown
    assert "tcp port 8080 leads to port 80, at 10.9.0.2\n" in shown
    assert "!" not in shown
    run("nft", "flush", "ruleset")
    space.run("ip", "address", "flush", "dev", "eth0")
    shown = desk.ok("show", "--parts")
    assert "    ! check masquerade of 10.9.0.0/24: its rule is missing" in shown
    assert "    ! check interface eth0: it lacks 10.9.0.2/24" in shown
    wanted = "check published ports: missing table inet cnipy_portmap"
    assert f"    ! {wanted}" in shown
    (whole,) = json.loads(desk.ok("show", "n", space.name, "--json"))
    texts = [found["text"] for found in whole["plugins"][0]["differences"]]
    assert "check masquerade of 10.9.0.0/24: its rule is missing" in texts
    assert whole["netns"] == space.path


def test_dead_attachment_is_told(desk: Desk, host: Host) -> None:
    """Of a container that is gone nothing is expected."""
    space = host.space()
    desk.attach("n", space)
    space.delete()
    host.spaces.remove(space)
    for form in ((), ("--parts",)):
        assert "  ! its network namespace is gone" in desk.ok("show", "n", *form)


def test_names_that_nothing_has(desk: Desk, host: Host) -> None:
    """An unknown network or container is answered with those that there are."""
    first, second = host.space(), host.space()
    desk.attach("n", first)
    desk.attach("n", second)
    assert desk.ok("show", "p") == "nothing is attached\n"
    assert "there are: n p" in desk.refused("show", "x")
    said = desk.refused("show", "n", "nobody")
    assert "container nobody on n: it has no attachment" in said
    assert "cnitool-" in said
    assert "several begin so" in desk.refused("show", "n", "cnitool-")
    (owner,) = (w for w in attachment_words("n", first).split() if "/" in w)
    container = owner.partition("/")[0]
    assert desk.ok("show", "n", container[:-2], "--parts").count("eth0, ") == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2, "parts": 5}', "\0"])
def test_unreadable_record_is_told_and_the_rest_shown(
    desk: Desk, host: Host, content: str
) -> None:
    """A damaged record does not hide the others."""
    first, second = host.space(), host.space()
    desk.attach("n", first)
    desk.attach("n", second)
    room = Path("/run/cni/cnipy/bridge/n")
    damaged = next(p for p in room.iterdir() if first.path in p.read_text())
    damaged.write_text(content)
    shown, said = desk.both("show", "n", "--parts")
    assert attachment_words("n", second) in shown
    assert f"pass over '{damaged}'" in said
    damaged.unlink()
    os.mkdir(damaged)
    shown, said = desk.both("show", "n", "--parts")
    assert attachment_words("n", second) in shown
    assert f"pass over '{damaged}'" in said


def test_strangers_are_refused(desk: Desk) -> None:
    """Who is not root gets one line."""
    for words in (("show",), ("explain", "n")):
        said = desk.refused(*words, uid=1000)
        assert said == f"cnipy: {words[0]}: run as root, not as uid 1000\n"
