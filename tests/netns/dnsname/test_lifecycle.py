# SPDX-License-Identifier: Apache-2.0
"""dnsname: ADD, DEL, CHECK, GC, STATUS, and a dnsmasq that others end."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, run
from netns.dnsname.helpers import (
    GATEWAY,
    GATEWAY6,
    NXDOMAIN,
    SERVERS,
    Names,
    Reply,
    ask,
    kill,
    left,
    named,
    pid,
    pids,
)
from pictures import picture

from cni_common import state

if TYPE_CHECKING:
    from pathlib import Path


KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")
NOTHING: list[str] = [f"{state.ROOT}/dnsname"]


def test_result_names_our_servers_first(node: Names) -> None:
    """prevResult is handed on; before its own servers come ours, behind its search."""
    planned = node.plan("c1", "web")
    own = {"nameservers": ["192.0.2.53"], "search": ["corp"], "options": ["ndots:2"]}
    planned.conf["prevResult"]["dns"] = own
    result = node.call("ADD", planned)
    dns = {
        "nameservers": [GATEWAY, GATEWAY6, "192.0.2.53"],
        "search": ["corp", "dns.podman"],
        "options": ["ndots:2"],
    }
    assert result == {**planned.conf["prevResult"], "dns": dns}


@pytest.mark.parametrize(
    "version", ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
)
def test_result_has_the_shape_of_the_version(node: Names, version: str) -> None:
    """In every version the result is prevResult's with dns, and DEL goes by it."""
    keys = {"cniVersion": version}
    planned = node.plan("c1", "web", bridge=keys, **keys)
    result = node.call("ADD", planned)
    dns = {"nameservers": [GATEWAY, GATEWAY6], "search": ["dns.podman"]}
    assert result == {**planned.conf["prevResult"], "dns": dns}
    with planned.space.entered():
        assert len(ask("web").found) == 1
    node.call("DEL", planned)
    assert (pids(), left()) == ([], NOTHING)


@pytest.mark.parametrize(
    "missing", (("runtimeConfig",), ("prevResult",), ("record",), ("args",), ())
)
@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_delete_leaves_nothing(
    node: Names, missing: tuple[str, ...], netns: str
) -> None:
    """DEL takes names and dnsmasq away with whatever it is told; again it succeeds."""
    it = node.attach("c1", "web", aliases=["www"])
    it.conf = {key: value for key, value in it.conf.items() if key not in missing}
    if "record" in missing:
        os.unlink(f"{state.ROOT}/dnsname/net/c1@eth0")
    if "args" in missing:
        it.options.pop("args")
    if netns != "there":
        it.options["netns"] = netns
    for _ in range(2):
        node.call("DEL", it)
        assert pids() == []
        assert not os.path.exists(SERVERS)


BROKEN: tuple[dict[str, Any], ...] = (
    {"domainName": 7},
    {"domainName": "no domain"},
    {"domainName": "else", "remoteServers": ["x"]},
    {"runtimeConfig": {"aliases": {"net": ["no name"]}}},
    {"runtimeConfig": 7},
)


@pytest.mark.parametrize("changed", BROKEN)
def test_delete_with_another_configuration(
    node: Names, changed: dict[str, Any]
) -> None:
    """What the configuration has become since ADD does not matter to DEL."""
    other = node.attach("c2", "db")
    it = node.attach("c1", "web", aliases=["www"])
    it.conf |= changed
    node.call("DEL", it)
    assert other.ask("web") == Reply(NXDOMAIN, [])
    assert other.ask("www") == Reply(NXDOMAIN, [])


def test_delete_of_the_unknown_succeeds(node: Names) -> None:
    """DEL of what was never attached succeeds, makes nothing and ends nothing."""
    planned = node.plan("c1", "web")
    before = picture(planned.space)
    node.call("DEL", planned)
    assert picture(planned.space) == before
    other = node.attach("c2", "db")
    node.call("DEL", planned)
    assert other.ask("db") == Reply(0, [other.address])


def test_delete_of_the_last_ends_dnsmasq(node: Names) -> None:
    """dnsmasq runs as long as a container of the network is there, and no longer."""
    one, two = node.attach("c1", "one"), node.attach("c2", "two")
    number = pid()
    node.call("DEL", one)
    assert pids() == [number]
    node.call("DEL", two)
    assert (pids(), left()) == ([], NOTHING)


def test_delete_with_a_dead_dnsmasq_succeeds(node: Names) -> None:
    """DEL removes the names of a dnsmasq that somebody killed, and starts none."""
    one, two = node.attach("c1", "one"), node.attach("c2", "two")
    kill(pid())
    for it in (one, two):
        node.call("DEL", it)
        assert pids() == []
    assert left() == NOTHING


def test_dead_dnsmasq_is_reported_and_started_by_the_next_add(node: Names) -> None:
    """CHECK tells that it does not run; ADD of another brings all names back."""
    one = node.attach("c1", "one")
    kill(pid())
    error = node.refused("CHECK", one)
    assert error["code"] == 999
    assert error["msg"] == "check dnsmasq of network net: not running"
    two = node.attach("c2", "two")
    assert two.ask("one") == Reply(0, [one.address])
    node.call("CHECK", one)


def test_process_that_got_the_number_is_left_alone(node: Names) -> None:
    """A pid that has passed to another process is not signalled, by any verb."""
    one = node.attach("c1", "one")
    kill(pid())
    with subprocess.Popen([need("sleep"), "60"]) as stranger:
        with open(f"{SERVERS}/net/pid", "w") as file:
            file.write(f"{stranger.pid}\n")
        assert node.refused("CHECK", one)["msg"].endswith("not running")
        two = node.attach("c2", "two")
        assert pid() != stranger.pid
        kill(pid())
        with open(f"{SERVERS}/net/pid", "w") as file:
            file.write(f"{stranger.pid}\n")
        node.call("DEL", two)
        node.call("DEL", one)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ("", "x", "-1", "0", "99999999999999999999", "1"))
def test_pid_file_that_says_nothing_useful(node: Names, content: str) -> None:
    """Whatever stands in the file that dnsmasq may write, DEL succeeds."""
    one = node.attach("c1", "one")
    kill(pid())
    with open(f"{SERVERS}/net/pid", "w") as file:
        file.write(content)
    node.call("DEL", one)
    assert left() == NOTHING


def test_bridge_that_is_made_again_is_served_again(node: Names) -> None:
    """When somebody removed the bridge, the next attachment has names again."""
    node.attach("c1", "one")
    run("ip", "link", "delete", "br0")
    two = node.attach("c2", "two")
    assert two.ask("two") == Reply(0, [two.address])


def test_repeated_add_replaces_the_names(node: Names) -> None:
    """The same attachment under another name is found by that one only."""
    it = node.attach("c1", "old")
    it.options["args"] = "IgnoreUnknown=1;K8S_POD_NAME=new"
    result = node.call("ADD", it)
    assert it.ask("new") == Reply(0, [it.address])
    assert it.ask("old") == Reply(NXDOMAIN, [])
    it.conf["prevResult"] = result
    assert node.call("ADD", it) == result


def test_changed_domain_starts_dnsmasq_anew(node: Names) -> None:
    """A domain that changes is served from the next ADD on; earlier names stay."""
    one = node.attach("c1", "one")
    number = pid()
    two = node.attach("c2", "two", domainName="new.example")
    assert pids() == [pid()] != [number]
    assert one.ask("two.new.example") == Reply(0, [two.address])
    assert one.ask("one.dns.podman") == Reply(0, [one.address])
    assert one.ask("three.new.example") == Reply(NXDOMAIN, [])
    node.call("CHECK", one)
    node.call("ADD", one)
    assert one.ask("three.dns.podman") == Reply(NXDOMAIN, [])
    assert one.ask("two.new.example") == Reply(0, [two.address])


def test_network_on_a_second_bridge_keeps_the_first(node: Names) -> None:
    """After its bridge was renamed in the configuration, old containers are served."""
    one = node.attach("c1", "one")
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
    two = node.attach("c2", "two", bridge={"bridge": "br7", "ipam": ipam})
    assert one.ask("two") == Reply(0, [two.address])
    assert two.ask("one", at="10.7.0.1") == Reply(0, [one.address])


def harm_record() -> None:
    """Lose the record."""
    os.unlink(f"{state.ROOT}/dnsname/net/c1@eth0")


def harm_file() -> None:
    """Lose what dnsmasq reads."""
    hosts = f"{SERVERS}/net/hosts"
    for name in os.listdir(hosts):
        os.unlink(f"{hosts}/{name}")


def harm_content() -> None:
    """Change what dnsmasq reads."""
    hosts = f"{SERVERS}/net/hosts"
    for name in os.listdir(hosts):
        with open(f"{hosts}/{name}", "a") as file:
            file.write("10.9.9.9 more\n")


def harm_address() -> None:
    """Take the gateway's address away."""
    run("ip", "addr", "del", f"{GATEWAY}/24", "dev", "br0")
    run("ip", "addr", "del", f"{GATEWAY6}/64", "dev", "br0")


def harm_firewall() -> None:
    """Drop questions."""
    run("nft", "add", "table", "inet", "t")
    run("nft", "add chain inet t i { type filter hook input priority 0; }")
    run("nft", "add rule inet t i udp dport 53 drop")


HARM = (
    (harm_record, "no record of what prevResult says"),
    (harm_file, "is missing or changed"),
    (harm_content, "is missing or changed"),
    (harm_address, "serve names: no gateway in prevResult is an address of this host"),
    (harm_firewall, f"ask dnsmasq at {GATEWAY}: no answer"),
)


@pytest.mark.parametrize(("harm", "words"), HARM)
def test_check_names_what_is_missing(node: Names, harm: Any, words: str) -> None:
    """CHECK passes after ADD, and names the one thing that somebody took away."""
    it = node.attach("c1", "web", aliases=["www"])
    node.call("CHECK", it)
    harm()
    assert words in node.refused("CHECK", it)["msg"]


def test_check_goes_by_the_record(node: Names) -> None:
    """CHECK succeeds without arguments and aliases, and fails for a name not had."""
    it = node.attach("c1", "web", aliases=["www"])
    args = it.options.pop("args")
    del it.conf["runtimeConfig"]
    node.call("CHECK", it)
    it.options["args"] = args.replace("web", "other")
    error = node.refused("CHECK", it)
    assert error["msg"].endswith("no record of what prevResult says")


def test_check_needs_prev_result(node: Names) -> None:
    """CHECK and ADD without prevResult are code 7."""
    it = node.attach("c1", "web")
    del it.conf["prevResult"]
    for verb in ("CHECK", "ADD"):
        error = node.refused(verb, it)
        assert (error["code"], error["msg"]) == (7, "must be called as chained plugin")


def gc_conf(network: str, **keys: Any) -> dict[str, Any]:
    """Return what GC is called with."""
    return {"cniVersion": "1.1.0", "name": network, "type": "dnsname", **keys}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("recorded", (True, False))
def test_gc_removes_what_is_not_valid(node: Names, key: str, *, recorded: bool) -> None:
    """GC keeps valid names and other networks, and takes the rest, recorded or not."""
    kept, gone = node.attach("c1", "kept"), node.attach("c2", "gone")
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
    bridge = {"bridge": "br7", "ipam": ipam}
    other = node.attach("c3", "other", name="other", bridge=bridge)
    if not recorded:
        os.unlink(f"{state.ROOT}/dnsname/net/c2@eth0")
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    node.cni.ok("dnsname", "GC", gc_conf("net", **{key: valid}))
    assert gone.ask("gone") == Reply(NXDOMAIN, [])
    assert kept.ask("kept") == Reply(0, [kept.address])
    assert other.ask("other", at="10.7.0.1") == Reply(0, [other.address])
    node.call("CHECK", kept)


def test_gc_with_an_empty_list_leaves_nothing(node: Names) -> None:
    """GC of all attachments ends dnsmasq; once more it finds nothing to do."""
    node.attach("c1", "one")
    for _ in range(2):
        node.cni.ok("dnsname", "GC", gc_conf("net", **{KEYS[0]: []}))
        assert (pids(), left()) == ([], NOTHING)


@pytest.mark.parametrize(
    ("listed", "status"), (({}, 0), ({KEYS[0]: "all"}, 1), ({KEYS[0]: [7]}, 1))
)
def test_gc_without_a_list_deletes_nothing(
    node: Names, listed: dict[str, Any], status: int
) -> None:
    """GC with no list, or with what is none, leaves everything."""
    it = node.attach("c1", "one")
    answer = node.cni("dnsname", "GC", gc_conf("net", **listed))
    assert answer.status == status
    assert it.ask("one") == Reply(0, [it.address])


def test_status_needs_dnsmasq(node: Names, tmp_path: Path) -> None:
    """STATUS and ADD tell what to install; with dnsmasq STATUS succeeds silently."""
    conf = named()
    node.cni.ok("dnsname", "STATUS", conf)
    planned = node.plan("c1", "web")
    before = picture(planned.space)
    # /usr/sbin without dnsmasq, as where the package is not installed.
    run("mount", "--bind", str(tmp_path), "/usr/sbin")
    try:
        unready = node.cni.refused("dnsname", "STATUS", conf)
        refused = node.refused("ADD", planned)
    finally:
        subprocess.run(["/bin/umount", "/usr/sbin"], check=True)
    assert (unready["code"], refused["code"]) == (50, 999)
    for error in (unready, refused):
        assert error["msg"] == "find dnsmasq: not installed"
        assert error["details"] == "install the package dnsmasq-base, or dnsmasq"
    assert picture(planned.space) == before


BAD: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"domainName": "no domain"}, 7, "parse domainName: 'no domain' is not the name"),
    ({"domainName": "a/b"}, 7, "parse domainName: 'a/b' is not"),
    ({"domainName": "a\nuser=root"}, 7, "parse domainName: "),
    ({"domainName": 7}, 7, "parse network configuration: domainName: "),
    ({"remoteServers": ["dns.example"]}, 7, "parse network configuration: remoteServ"),
    ({"remoteServers": "1.1.1.1"}, 7, "parse network configuration: remoteServers: "),
    (
        {"runtimeConfig": {"aliases": {"net": ["ok", "a\n1.2.3.4 b"]}}},
        7,
        "parse runtimeConfig.aliases.net: 'a\\n1.2.3.4 b' cannot be the name of a host",
    ),
    ({"runtimeConfig": {"aliases": ["www"]}}, 7, "parse network configuration: runtim"),
    ({"runtimeConfig": {"aliases": {"net": "www"}}}, 7, "parse network configuration"),
    ({"prevResult": {"cniVersion": "1.1.0"}}, 7, "serve names of eth0: prevResult has"),
    ({"prevResult": []}, 7, "parse network configuration: prevResult: should be an"),
)


@pytest.mark.parametrize(("keys", "code", "words"), BAD)
def test_bad_configuration_changes_nothing(
    node: Names, keys: dict[str, Any], code: int, words: str
) -> None:
    """What cannot be served is refused with its key, before anything is done."""
    planned = node.plan("c1", "web", **keys)
    before = picture(planned.space)
    error = node.refused("ADD", planned)
    assert (error["code"], error["msg"][: len(words)]) == (code, words)
    assert (picture(planned.space), pids()) == (before, [])


def test_bad_arguments_are_refused(node: Names) -> None:
    """CNI_ARGS that are none are code 4 on ADD, and ignored on DEL."""
    planned = node.plan("c1")
    planned.options["args"] = "K8S_POD_NAME"
    assert node.refused("ADD", planned)["code"] == 4
    node.call("DEL", planned)


def test_bridge_without_a_gateway_is_refused(node: Names) -> None:
    """Where the host has none of the gateways, nothing could be listened at."""
    planned = node.plan("c1", "web", bridge={"isGateway": False})
    before = picture(planned.space)
    error = node.refused("ADD", planned)
    assert error["code"] == 7
    assert error["msg"] == (
        "serve names: no gateway in prevResult is an address of this host"
    )
    assert error["details"].endswith("a bridge needs isGateway")
    assert picture(planned.space) == before


def test_gateway_on_another_link_is_refused(node: Names) -> None:
    """A container that is reached by another link could not ask at the gateway."""
    planned = node.plan("c1", "web")
    run("ip", "link", "add", "br9", "type", "bridge")
    run("ip", "link", "set", "br9", "up")
    run("ip", "route", "add", f"{planned.address}/32", "dev", "br9")
    error = node.refused("ADD", planned)
    assert error["code"] == 7
    assert error["msg"] == (
        f"serve names at {GATEWAY}: link br0 has it,"
        f" but {planned.address} is reached by br9"
    )


def test_port_that_is_taken_is_told(node: Names) -> None:
    """A name server of the host at the gateway's address stays, and ADD says so."""
    planned = node.plan("c1", "web")
    before = picture(planned.space)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((GATEWAY, 53))
        error = node.refused("ADD", planned)
    assert error["code"] == 999
    assert error["msg"].startswith("start dnsmasq: failed to create listening socket")
    assert (picture(planned.space), pids()) == (before, [])


def test_two_networks_cannot_share_a_bridge(node: Names) -> None:
    """The second network on a bridge is refused, and the first goes on."""
    one = node.attach("c1", "one")
    planned = node.plan("c2", "two", name="other")
    error = node.refused("ADD", planned)
    assert "Address already in use" in error["msg"]
    assert one.ask("one") == Reply(0, [one.address])
    assert len(pids()) == 1
