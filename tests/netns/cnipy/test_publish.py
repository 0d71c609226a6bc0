# SPDX-License-Identifier: Apache-2.0
"""`cnipy publish` and `unpublish`: ports of living containers come and go."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults import KILLED, Death, die_at_request
from lab import PATIENCE, nft_objects, run
from netns.cnipy.helpers import BRIDGE, PORTMAP, Desk, attachment_words, mappings
from netns.cnipy.living import attach, call, file_of, kept
from netns.portmap.helpers import NODE, NODE6, ask, ask_from, elements, left, serving

from cnipy.attachment import container_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host, Space


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with a network that publishes, and some that cannot."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, PORTMAP, {"type": "firewall"})
    desk.network("bare", BRIDGE | {"bridge": "br1"})
    desk.network("mute", BRIDGE | {"bridge": "br2"}, {"type": "portmap"})
    return desk


@pytest.fixture
def outside(host: Host) -> Space:
    """A machine outside, which reaches the node alone."""
    return host.outside()


@pytest.fixture
def web(desk: Desk, host: Host) -> Iterator[Space]:
    """A container on n that answers "web" on port 80, published as 8080."""
    space = host.space()
    attach(desk, "n", space, ports=[8080])
    with serving(space, "web"):
        yield space


def everything() -> tuple[str, list[str], dict[str, str]]:
    """Return rules, and the files that are written down, with their content."""
    ruleset = sorted(run("nft", "-s", "list", "ruleset").splitlines())
    paths = [*map(Path, left()), *Path("/var/lib/cni/results").iterdir()]
    # Leases have a side index of links.
    files = {str(path): path.read_text() for path in paths if path.exists()}
    return run("ip", "-br", "link"), ruleset, files


def rest() -> list[str]:
    """Return what is written down, but for the index of leases."""
    return [path for path in left() if "/host-local/" not in path]


def test_port_comes_and_goes(desk: Desk, outside: Space, web: Space) -> None:
    """Refused before, the container's answer after, refused again; 8080 leads on."""
    assert ask_from(outside, NODE, 9090) == ""
    printed = desk.ok("publish", web.name, "9090:80")
    who = attachment_words("n", web)
    at = "at 10.9.0.2 and fd09::2"
    assert printed == (
        f"{who}:\n  tcp port 8080 leads to port 80, {at}\n"
        f"  tcp port 9090 leads to port 80, {at}\n"
    )
    for port in (8080, 9090):
        assert ask_from(outside, NODE, port) == "web 198.51.100.2"
        assert ask_from(outside, NODE6, port) == "web 2001:db8:99::2"
        assert ask("127.0.0.1", port) == "web 10.9.0.1"
    assert "tcp port 9090" not in desk.ok("unpublish", web.name, "9090")
    assert ask_from(outside, NODE, 9090) == ""
    assert ask_from(outside, NODE, 8080) == "web 198.51.100.2"
    assert "no port is published" in desk.ok("unpublish", web.name, "8080/tcp")
    assert ask_from(outside, NODE, 8080) == ""
    assert nft_objects("table", "inet", "cnipy_portmap") == []
    assert not [name for name in left() if "portmap" in name]


def test_first_port_of_a_container(desk: Desk, host: Host, outside: Space) -> None:
    """A container that published nothing gets what ADD would have given it."""
    first, second = host.space(), host.space()
    attach(desk, "n", first, ports=[8080])
    made = sorted(run("nft", "-s", "list", "ruleset").splitlines())
    desk.ok("unpublish", first.name, "8080")
    desk.ok("publish", first.name, "8080:80")
    assert sorted(run("nft", "-s", "list", "ruleset").splitlines()) == made
    attach(desk, "n", second)
    with serving(second, "second"):
        desk.ok("publish", second.name, f"{NODE}:8081:80")
        assert ask_from(outside, NODE, 8081) == "second 198.51.100.2"
        assert ask("10.9.0.1", 8081) == ""


def test_the_same_is_harmless(desk: Desk, web: Space) -> None:
    """What is published already changes nothing, on record, in the kernel, cached."""
    desk.ok("publish", web.name, "9090:80")
    before = everything()
    desk.ok("publish", web.name, "9090:80", "8080:80/tcp")
    assert everything() == before


def test_forms_of_ports(desk: Desk, host: Host) -> None:
    """Protocols, addresses and ranges lead where nft says they do."""
    space = host.space()
    attach(desk, "n", space)
    words = ("53:5353/udp", "7000-7002:80-82", f"[{NODE6}]:81:80", f"{NODE}:82:80")
    run("ip", "addr", "add", f"{NODE}/24", "dev", "lo")
    desk.ok("publish", space.name, *words)
    four, six = elements("hostports4"), elements("hostports6")
    assert four["udp . 53"] == "10.9.0.2 . 5353"
    assert [four[f"tcp . 700{n}"] for n in range(3)] == [
        f"10.9.0.2 . 8{n}" for n in range(3)
    ]
    assert "tcp . 81" not in {**four, **six}
    found = json.loads(
        desk.ok("unpublish", space.name, "7001-7002", "53/udp", "--json")
    )
    assert [each["hostPort"] for each in found["ports"]] == [7000, 81, 82]
    assert set(elements("hostports4")) == {"tcp . 7000"}


def test_connections_go_on(desk: Desk, outside: Space, web: Space) -> None:
    """TCP by a port that stays, and UDP whose server speaks unasked, notice nothing."""
    with web.entered():
        talk = socket.create_server(("0.0.0.0", 81))
        speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        speaker.bind(("0.0.0.0", 82))
    desk.ok("publish", web.name, "8081:81", "8082:82/udp")
    with outside.entered():
        client = socket.create_connection((NODE, 8081), 5 * PATIENCE)
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.connect((NODE, 8082))
    accepted, _ = talk.accept()
    listener.settimeout(5 * PATIENCE)
    speaker.settimeout(5 * PATIENCE)
    client.settimeout(5 * PATIENCE)
    listener.send(b"begin")
    _, peer = speaker.recvfrom(100)
    for words in (("publish", "9090:80"), ("unpublish", "9090"), ("unpublish", "8080")):
        desk.ok(words[0], web.name, words[1])
        speaker.sendto(b"still there", peer)
        assert listener.recv(100) == b"still there"
        accepted.sendall(b"still there")
        assert client.recv(100) == b"still there"
    for each in (talk, speaker, client, listener, accepted):
        each.close()


def test_runtime_knows(desk: Desk, web: Space) -> None:
    """Its cache has the ports, and all else of the file is as it was, mode included."""
    file = file_of(web)
    before = kept(file)
    desk.ok("publish", web.name, "9090:81")
    after = kept(file)
    assert after["capabilityArgs"] == {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 9090, "containerPort": 81, "protocol": "tcp"},
        ],
        "dns": {"searches": ["a.b"]},
    }
    assert after | {"capabilityArgs": 0} == before | {"capabilityArgs": 0}
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in file.parent.parent.glob(".*")] == []
    desk.ok("unpublish", web.name, "8080", "9090")
    assert kept(file)["capabilityArgs"] == {"dns": {"searches": ["a.b"]}}


def test_older_libcni(desk: Desk, web: Space) -> None:
    """It did not keep where the namespace is; the records know."""
    file = file_of(web)
    document = kept(file)
    del document["netns"]
    file.write_text(json.dumps(document))
    desk.ok("publish", web.name, "9090:80")
    assert set(elements("hostports4")) == {"tcp . 8080", "tcp . 9090"}
    assert "netns" not in kept(file)


def test_check_repair_and_show(desk: Desk, outside: Space, web: Space) -> None:
    """CHECK passes, `nft flush ruleset` is repaired, ports and show tell of it."""
    desk.ok("publish", web.name, "9090:80")
    call(desk, file_of(web), "CHECK")
    before = sorted(run("nft", "-s", "list", "ruleset").splitlines())
    run("nft", "flush", "ruleset")
    assert ask_from(outside, NODE, 9090) == ""
    assert "table inet cnipy_portmap; put back" in desk.ok("repair")
    assert sorted(run("nft", "-s", "list", "ruleset").splitlines()) == before
    assert ask_from(outside, NODE, 9090) == "web 198.51.100.2"
    told = json.loads(desk.ok("ports", "--json"))
    assert [each["hostPort"] for each in told] == [8080, 9090]
    assert "9090" in desk.ok("show", "n")
    desk.ok("unpublish", web.name, "8080")
    call(desk, file_of(web), "CHECK")


@pytest.mark.parametrize("known", [[8080], [8080, 9090]], ids=["old", "new"])
def test_del_leaves_nothing(desk: Desk, host: Host, known: list[int]) -> None:
    """Whether the runtime says the old ports or the new ones."""
    space = host.space()
    file = attach(desk, "n", space, ports=[8080])
    desk.ok("publish", space.name, "9090:80")
    call(desk, file, "DEL", portMappings=mappings(known))
    assert nft_objects("table", "inet", "cnipy_portmap") == []
    assert rest() == []


def test_gc_collects(desk: Desk, host: Host) -> None:
    """A container that died with a published port leaves the port to others."""
    first, second = host.space(), host.space()
    attach(desk, "n", first)
    attach(desk, "n", second)
    desk.ok("publish", first.name, "9090:80")
    first.delete()
    host.spaces.remove(first)
    valid = [{"containerID": container_id_of(second.path), "ifname": "eth0"}]
    conf = {"cniVersion": "1.1.0", "name": "n", "cni.dev/valid-attachments": valid}
    desk.cni.ok("portmap", "GC", conf | {"type": "portmap"})
    assert nft_objects("table", "inet", "cnipy_portmap") == []
    desk.ok("publish", second.name, "9090:80")
    assert elements("hostports4")["tcp . 9090"].startswith("10.9.0.3")


def test_port_of_another_is_refused(desk: Desk, host: Host, web: Space) -> None:
    """The holder is named, and the other port that was asked for is not there."""
    other = host.space()
    attach(desk, "n", other, ports=[7000])
    before = everything()
    said = desk.refused("publish", other.name, "7001:80", "8080:80")
    holder = f"container {container_id_of(web.path)} (interface eth0, network n)"
    assert f"publish tcp port 8080: held by {holder}" in said
    assert everything() == before


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("8080",), "no port of the container is named"),
        (("0:80",), "'0' is no port of 1 to 65535"),
        (("70000:80",), "'70000' is no port"),
        (("80:http",), "'http' is no port"),
        (("8080:80/icmp",), "protocols are sctp, tcp, udp"),
        (("80-82:80-81",), "the ranges have different lengths"),
        (("9-8:9-8",), "the range 9-8 is empty"),
        (("::1:80:80",), "an IPv6 address stands in brackets"),
        (("300.1.1.1:80:80",), "'300.1.1.1' is no address"),
        (("8080:81",), "asked for twice, for container ports 80 and 81"),
        (("9090:80", "9090:81"), "asked for twice"),
    ],
)
def test_bad_ports(desk: Desk, web: Space, words: tuple[str, ...], cause: str) -> None:
    """One line says what is wrong with it; nothing has changed."""
    before = everything()
    assert cause in desk.refused("publish", web.name, *words)
    assert everything() == before


def test_what_cannot_be_changed(desk: Desk, host: Host, web: Space) -> None:
    """Each refusal says which list lacks what, or what there is."""
    bare, mute, unknown = host.space(), host.space(), host.space()
    attach(desk, "bare", bare)
    attach(desk, "mute", mute)
    attach(desk, "n", unknown).unlink()
    before = everything()
    said = desk.refused("publish", bare.name, "9090:80")
    assert "the list of bare has none: with portmap in it, add again" in said
    said = desk.refused("publish", mute.name, "9090:80")
    assert 'on mute it takes no portMappings: "capabilities": {"portMappings"' in said
    said = desk.refused("publish", unknown.name, "9090:80")
    assert "no result of it in /var/lib/cni/results: there are: cnitool-" in said
    said = desk.refused("publish", web.name, "9090:80", "--network", "bare")
    assert "it is not attached there: it is on: n eth0" in said
    said = desk.refused("unpublish", web.name, "9090")
    assert "no such port: published: tcp port 8080 leads to port 80" in said
    assert everything() == before


def test_refusal_as_json(desk: Desk, web: Space) -> None:
    """It is the specification's error object, and the only document."""
    status, stdout, _ = desk("publish", web.name, "8080", "--json")
    assert (status, json.loads(stdout)["code"]) == (1, 4)


def test_namespace_that_is_gone(desk: Desk, host: Host) -> None:
    """Nothing is published for it, though the runtime still has its result."""
    space = host.space()
    file = attach(desk, "n", space)
    container = kept(file)["containerId"]
    space.delete()
    host.spaces.remove(space)
    assert "its network namespace is gone" in desk.refused(
        "publish", container, "9090:80"
    )
    assert nft_objects("table", "inet", "cnipy_portmap") == []


def test_several_attachments(desk: Desk, host: Host) -> None:
    """Which one is meant must be said; then it is that."""
    space = host.space()
    subnet = {"type": "host-local", "subnet": "10.7.0.0/24"}
    desk.network("m", BRIDGE | {"bridge": "br3", "ipam": subnet}, PORTMAP)
    attach(desk, "n", space)
    attach(desk, "m", space, ifname="eth1")
    said = desk.refused("publish", space.name, "9090:80")
    assert "2 attachments of it have portmap" in said
    assert "--network or --ifname chooses" in said
    desk.ok("publish", space.name, "9090:80", "--network", "m")
    desk.ok("publish", space.name, "9091:80", "--ifname", "eth0")
    assert elements("hostports4") == {
        "tcp . 9090": "10.7.0.2 . 80",
        "tcp . 9091": "10.9.0.2 . 80",
    }


def test_failure_is_undone(
    desk: Desk, web: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the runtime's file cannot be written, all is as it was before."""
    before = everything()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr("cnipy.cache.os.rename", refuse)
    said = desk.refused("publish", web.name, "9090:80")
    monkeypatch.undo()
    assert "no space left on device" in said
    assert everything() == before
    desk.ok("publish", web.name, "9090:80")


def killed(desk: Desk, patch: pytest.MonkeyPatch, n: int, *words: str) -> bool:
    """Run the command, which dies before its n-th request; tell whether it did."""
    child = os.fork()
    if child == 0:
        try:
            die_at_request(patch, Death(n))
            os._exit(desk(*words)[0])
        finally:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, KILLED}
    return status == KILLED


@pytest.mark.parametrize("retry", ["the same", "the other"])
def test_killed_anywhere(
    desk: Desk, outside: Space, web: Space, monkeypatch: pytest.MonkeyPatch, retry: str
) -> None:
    """8080 leads on, whenever it is killed; the next command is obeyed."""
    verbs = (("publish", "9090:80"), ("unpublish", "9090"))
    for verb, port in verbs:
        n = 1
        while killed(desk, monkeypatch, n, verb, web.name, port):
            assert ask_from(outside, NODE, 8080) == "web 198.51.100.2", n
            if retry == "the same":
                desk(verb, web.name, port)
            else:  # what was killed is not brought to its end by others
                desk.ok("publish", web.name, "9091:80")
                told = json.loads(desk.ok("unpublish", web.name, "9091", "--json"))
                assert 8080 in [each["hostPort"] for each in told["ports"]]
                desk(verb, web.name, port)
            there = "web 198.51.100.2" if verb == "publish" else ""
            assert ask_from(outside, NODE, 9090) == there, n
            call(desk, file_of(web), "CHECK", portMappings=mappings([8080]))
            assert desk.ok("repair") == "", n
            other, at = verbs[verb == "publish"]
            desk.ok(other, web.name, at)
            n += 1
        assert n > 8
