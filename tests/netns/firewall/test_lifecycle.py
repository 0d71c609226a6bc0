# SPDX-License-Identifier: Apache-2.0
"""firewall with nftables: ADD, DEL, CHECK, GC, STATUS, and what is in the kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.firewall.helpers import (
    INET,
    PORTS,
    Guarded,
    left,
    members,
    owners,
    request,
    touched,
)

from cni_common.kernel import nft
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Cni, Host

KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")
ISOLATED = {"ingressPolicy": "isolated"}


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges that drops nothing."""
    return Guarded(host, cni)


@pytest.mark.parametrize("version", ("0.4.0", "1.0.0", "1.1.0"))
def test_result_is_prev_result(node: Guarded, version: str) -> None:
    """The result is prevResult, in the version of the configuration."""
    space = node.container(2)
    conf, options = request(space, 2, cniVersion=version)
    result = node.cni.ok("firewall", "ADD", conf, **options)
    if version == "0.4.0":
        assert result.pop("dns") == {}
    assert result == conf["prevResult"]


def test_versions_are_the_references(cni: Cni, host: Host) -> None:
    """VERSION tells 0.4.0 and later, and an earlier configuration is refused."""
    told = cni.ok("firewall", "VERSION", {"cniVersion": "1.0.0"})
    assert told["supportedVersions"] == ["0.4.0", "1.0.0", "1.1.0"]
    conf, options = request(host.space(), 2)
    error = cni.refused("firewall", "ADD", {**conf, "cniVersion": "0.3.1"}, **options)
    assert (error["code"], error["msg"]) == (1, "incompatible CNI versions")


def test_addresses_have_their_owner(node: Guarded) -> None:
    """Each address of the container is an element that says whose it is."""
    node.ok("ADD", node.container(2), 2)
    node.ok("ADD", node.container(3), 3, families=(4,))
    assert members("containers4") == ["10.1.0.2", "10.1.0.3"]
    assert members("containers6") == ["fd01::2"]
    assert owners("containers6") == ["net c2 eth0"]
    assert members("guarded") == []
    assert nft_objects("table", *PORTS) == []


def test_rules_do_not_grow_with_containers(node: Guarded) -> None:
    """The second container and the second bridge bring elements, not rules."""
    node.ok("ADD", node.container(2), 2, **ISOLATED)
    before = rules()
    node.ok("ADD", node.container(3), 3, **ISOLATED)
    node.ok("ADD", node.neighbour(2), 2, bridge="br1", **ISOLATED)
    assert rules() == before
    assert members("guarded") == ["br0", "br1"]
    assert members("isolated", PORTS) == ["br0p2", "br0p3", "br1p2"]


def rules() -> int:
    """Return the number of all rules."""
    return sum("rule" in item for item in nft_objects("ruleset"))


@pytest.mark.parametrize(
    "changed",
    (
        {},
        {"prevResult": None},
        {"ingressPolicy": "open"},
        {"backend": "iptables", "iptablesAdminChainName": "OTHER"},
        {"backend": "no such", "ingressPolicy": 7, "firewalldZone": []},
        {"prevResult": "nonsense"},
    ),
)
@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_delete_leaves_nothing(
    node: Guarded, changed: dict[str, Any], netns: str
) -> None:
    """DEL works by the record, whatever the request says by now; again it succeeds."""
    space = node.container(2)
    before = touched()
    node.ok("ADD", space, 2, **ISOLATED)
    conf, options = request(space, 2, **{**ISOLATED, **changed})
    if netns != "there":
        options["netns"] = netns
    for _ in range(2):
        node.cni.ok("firewall", "DEL", conf, **options)
        assert touched() == before


def test_delete_of_the_unknown_creates_nothing(node: Guarded) -> None:
    """DEL of a container that was never attached succeeds and leaves no trace."""
    before = touched()
    node.ok("DEL", node.container(2), 2, **ISOLATED)
    assert touched()["rules"] == before["rules"] == []
    assert left() == []


def test_repeated_add_follows_the_configuration(node: Guarded) -> None:
    """A second ADD has the new policy and addresses, and not the old ones."""
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    node.ok("ADD", space, 2, ingressPolicy="same-bridge", families=(4,))
    assert (members("guarded"), members("isolated")) == (["br0"], [])
    assert members("containers6") == []
    assert nft_objects("table", *PORTS) == []
    node.ok("ADD", space, 2, families=(4,))
    assert members("guarded") == members("within") == []
    node.ok("DEL", space, 2)
    assert (nft_objects("ruleset"), left()) == ([], [])


def test_address_that_passed_on_survives_the_late_delete(node: Guarded) -> None:
    """DEL of the earlier holder of an address takes nothing from the later one."""
    space = node.container(2)
    node.ok("ADD", space, 2, container_id="old")
    node.ok("ADD", space, 2, container_id="new")
    assert owners("containers4") == ["net new eth0"]
    node.ok("DEL", "", 2, container_id="old")
    assert members("containers4") == ["10.1.0.2"]
    assert not any("old@" in path for path in left())
    node.ok("DEL", space, 2, container_id="new")
    assert (nft_objects("ruleset"), left()) == ([], [])


def test_what_the_administrator_wrote_stays(node: Guarded) -> None:
    """The chain admin keeps its rules from the first container until after the last."""
    one, two = node.container(2), node.container(3)
    node.ok("ADD", one, 2)
    run("nft", "add", "rule", *INET, "admin", "ip daddr 192.0.2.1 drop")
    node.ok("ADD", two, 3, **ISOLATED)
    node.ok("DEL", one, 2)
    node.ok("DEL", two, 3, **ISOLATED)
    assert "ip daddr 192.0.2.1 drop" in run("nft", "list", "chain", *INET, "admin")
    assert members("containers4") == members("guarded") == []
    assert left() == []
    node.ok("ADD", one, 2)
    assert members("containers4") == ["10.1.0.2"]
    run("nft", "flush", "chain", *INET, "admin")
    node.ok("DEL", one, 2)
    assert nft_objects("ruleset") == []


def test_administrator_decides_first(node: Guarded) -> None:
    """A drop in admin holds against us, and an accept against the isolation."""
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy="same-bridge")
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy="same-bridge")
    assert not other.reaches("10.1.0.2")
    run("nft", "add", "rule", *INET, "admin", "ip protocol icmp accept")
    assert other.reaches("10.1.0.2")
    assert one.reaches("198.51.100.2")
    drop = "ip saddr @containers4 ip daddr 198.51.100.0/24 drop"
    run("nft", "insert", "rule", *INET, "admin", drop)
    assert not one.reaches("198.51.100.2")


def test_flushed_ruleset_comes_back_with_the_next_call(node: Guarded) -> None:
    """After a flush, ADD brings back what all containers had, and so does DEL."""
    spaces = {number: node.container(number) for number in (2, 3, 4)}
    for number in (2, 3):
        node.ok("ADD", spaces[number], number, **ISOLATED)
    whole = run("nft", "list", "ruleset")
    run("nft", "flush", "ruleset")
    node.ok("DEL", spaces[3], 3, **ISOLATED)
    assert members("containers4") == ["10.1.0.2"]
    run("nft", "flush", "ruleset")
    node.ok("ADD", spaces[3], 3, **ISOLATED)
    assert run("nft", "list", "ruleset") == whole
    run("nft", "flush", "ruleset")
    for number in (2, 3):
        node.ok("DEL", spaces[number], number, **ISOLATED)
    assert (nft_objects("ruleset"), left()) == ([], [])


def test_reload_restores_what_was_flushed(node: Guarded) -> None:
    """DEL and ADD after a flush, as `podman network reload`, restore everything."""
    space = node.container(2)
    conf, options = request(space, 2, backend="", **ISOLATED)
    node.cni.ok("firewall", "ADD", conf, **options)
    whole = run("nft", "list", "ruleset")
    run("nft", "flush", "ruleset")
    assert node.cni("firewall", "CHECK", conf, **options).status == 1
    node.cni.ok("firewall", "DEL", conf, **options)
    node.cni.ok("firewall", "ADD", conf, **options)
    node.cni.ok("firewall", "CHECK", conf, **options)
    assert run("nft", "list", "ruleset") == whole


HARM = (
    ("flush ruleset", "table inet cnipy_firewall"),
    ("delete table bridge cnipy_firewall", "table bridge cnipy_firewall"),
    (
        "flush chain inet cnipy_firewall forward",
        "rule in chain forward: 0 of 8 there",
    ),
    (
        "flush chain inet cnipy_firewall isolation",
        "rule in chain isolation: 0 of 9 there",
    ),
    (
        "delete element inet cnipy_firewall containers6 { fd01::2 }",
        "element fd01::2 of containers6",
    ),
    (
        'delete element inet cnipy_firewall isolated { "br0" . "br0" }',
        'element "br0" . "br0" of isolated',
    ),
    (
        'delete element bridge cnipy_firewall isolated { "br0p2" }',
        'element "br0p2" of isolated',
    ),
    (
        (
            "flush chain inet cnipy_firewall forward; delete chain inet cnipy_firewall"
            " forward"
        ),
        "base chain forward (filter, forward, priority 0)",
    ),
)


@pytest.mark.parametrize(("harm", "missing"), HARM)
def test_check_names_what_is_missing(node: Guarded, harm: str, missing: str) -> None:
    """CHECK passes after ADD, and names the one thing that somebody removed."""
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    node.ok("CHECK", space, 2, **ISOLATED)
    run("nft", harm)
    error = node.refused("CHECK", space, 2, **ISOLATED)
    assert (error["code"], error["msg"]) == (999, f"check firewall: missing {missing}")
    family = "bridge" if "bridge" in harm else "inet"
    assert error["details"] == f"in nft table {family} cnipy_firewall"


def test_check_compares_with_the_request(node: Guarded) -> None:
    """CHECK fails without a record, with another policy and with other addresses."""
    space = node.container(2)
    asked = {"container_id": "c1", **ISOLATED}
    error = node.refused("CHECK", space, 2, **asked)
    assert "record of container c1 interface eth0 on net" in error["msg"]
    node.ok("ADD", space, 2, **asked)
    error = node.refused("CHECK", space, 2, container_id="c1")
    assert "missing ingressPolicy open: it was attached with isolated" in error["msg"]
    error = node.refused("CHECK", space, 3, **asked)
    assert "missing address 10.1.0.3" in error["msg"]


@pytest.mark.parametrize("key", KEYS)
def test_gc_removes_what_is_not_valid(node: Guarded, key: str) -> None:
    """GC keeps the valid attachment and other networks, and removes the rest."""
    for number in (2, 3):
        node.ok("ADD", node.container(number), number, **ISOLATED)
    node.ok("ADD", node.neighbour(4), 4, bridge="br1", **ISOLATED)
    valid = [{"containerID": "c2", "ifname": "eth0"}]
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", key: valid}
    node.cni.ok("firewall", "GC", conf)
    assert members("containers4") == ["10.1.0.2", "10.2.0.4"]
    assert members("isolated", PORTS) == ["br0p2", "br1p4"]
    assert members("guarded") == ["br0", "br1"]
    node.cni.ok("firewall", "GC", {**conf, key: []})
    assert members("guarded") == ["br1"]
    assert not any("/net/" in path for path in left())


@pytest.mark.parametrize(
    ("listed", "status"), (({}, 0), ({KEYS[0]: "all"}, 1), ({KEYS[0]: [7]}, 1))
)
def test_gc_without_a_list_deletes_nothing(
    node: Guarded, listed: dict[str, Any], status: int
) -> None:
    """GC with no list, or with what is none, leaves everything."""
    node.ok("ADD", node.container(2), 2)
    before = touched()
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", **listed}
    assert node.cni("firewall", "GC", conf).status == status
    assert touched() == before


def test_status_leaves_no_trace(node: Guarded) -> None:
    """STATUS succeeds where rules can be written, and leaves none."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall"}
    node.cni.ok("firewall", "STATUS", conf)
    assert (nft_objects("ruleset"), left()) == ([], [])


def test_status_tells_that_rules_cannot_be_written(
    node: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STATUS fails with code 50 when nftables does not take a transaction."""

    def refuse() -> None:
        raise CNIError(999, "load libnftables: no such file")

    monkeypatch.setattr(nft, "check_writable", refuse)
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall"}
    error = node.cni.refused("firewall", "STATUS", conf)
    assert (error["code"], error["msg"]) == (50, "load libnftables: no such file")


BAD: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"prevResult": None}, 7, "missing prevResult from earlier plugin"),
    (
        {"backend": "ipfw"},
        7,
        (
            "parse network configuration: backend: unknown word 'ipfw', known are"
            ' "", "nftables", "iptables", "firewalld"'
        ),
    ),
    ({"backend": 1}, 7, "parse network configuration: backend: "),
    (
        {"ingressPolicy": "closed"},
        7,
        (
            "parse network configuration: ingressPolicy: unknown word 'closed',"
            ' known are "open", "same-bridge", "isolated"'
        ),
    ),
    (
        {"iptablesAdminChainName": "-j ACCEPT"},
        7,
        "use iptablesAdminChainName '-j ACCEPT': not a chain's name",
    ),
    (
        {"iptablesAdminChainName": "A" * 29},
        7,
        f"use iptablesAdminChainName '{'A' * 29}': not a chain's name",
    ),
    (
        {"iptablesAdminChainName": "FORWARD"},
        7,
        "use iptablesAdminChainName 'FORWARD': it has another purpose",
    ),
    (
        {"firewalldZone": "../x"},
        7,
        "use firewalldZone '../x': not a zone's name",
    ),
    (
        {
            "ingressPolicy": "isolated",
            "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]},
        },
        7,
        (
            "use ingressPolicy isolated: prevResult names no link of the host towards"
            " the container"
        ),
    ),
    (
        {
            "ingressPolicy": "same-bridge",
            "prevResult": {"cniVersion": "1.1.0", "interfaces": [{"name": "br7"}]},
        },
        999,
        "find link br7: no such device",
    ),
    ({"backend": "firewalld"}, 999, "use backend firewalld: firewalld is not running"),
)


@pytest.mark.parametrize(("keys", "code", "msg"), BAD)
def test_bad_input_changes_nothing(
    node: Guarded, keys: dict[str, Any], code: int, msg: str
) -> None:
    """What cannot be done is refused with its reason, and the host is as it was."""
    space = node.container(2)
    before = touched()
    error = node.refused("ADD", space, 2, **keys)
    assert error["code"] == code
    assert error["msg"].startswith(msg)
    assert touched() == before


@pytest.mark.parametrize("name", ('br"0', "br\\0", "br*", "br+", "!br"))
def test_link_that_no_rule_can_name_is_refused(node: Guarded, name: str) -> None:
    """A link whose name would mean something else in a rule is refused."""
    space = node.container(2)
    run("ip", "link", "add", name, "type", "bridge")
    before = touched()
    error = node.refused(
        "ADD",
        space,
        2,
        bridge=name,
        ingressPolicy="same-bridge",
        prevResult={"cniVersion": "1.1.0", "interfaces": [{"name": name}]},
    )
    assert error["code"] == 7
    assert "no rule can name the link" in error["msg"]
    assert touched() == before


def test_record_is_private_and_follows_no_link(node: Guarded) -> None:
    """The record is for root alone, and one that is a symbolic link is not read."""
    space = node.container(2)
    node.ok("ADD", space, 2)
    record = "/run/cni/cnipy/firewall/net/c2@eth0"
    assert os.stat(record).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(record)).st_mode & 0o777 == 0o700
    os.rename(record, "/run/record")
    os.symlink("/run/record", record)
    error = node.refused("CHECK", space, 2)
    assert "missing record" in error["msg"]
    os.unlink("/run/record")
