# SPDX-License-Identifier: Apache-2.0
"""firewall with iptables: when it is chosen, what it leaves, what it lets be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import need, nft_objects, run
from netns.firewall.helpers import (
    INET,
    PORTS,
    Guarded,
    drop_forwarded,
    left,
    members,
    needs_variant,
    request,
    saved,
)
from netns.portmap.helpers import ask_from, serving

from cni_common import iptables_command

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host

VARIANTS = ("nft", "legacy")
ISOLATED = {"ingressPolicy": "isolated"}
# What a host may have in FORWARD that drops what no earlier rule accepts.
DROPPING = {
    "policy": "iptables -P FORWARD DROP",
    "reject": "iptables -A FORWARD -j REJECT",
    "commented": "iptables -A FORWARD -m comment --comment why -j DROP",
    "chain": "iptables -N no; iptables -A no -j REJECT; iptables -A FORWARD -j no",
    "ipv6": "ip6tables -P FORWARD DROP",
    "goto": "iptables -N no; iptables -A no -j DROP; iptables -A FORWARD -g no",
}
PASSING = {
    "one address": "iptables -A FORWARD -s 192.0.2.1 -j DROP",
    "one state": "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
    "accepted": "iptables -P FORWARD DROP; iptables -A FORWARD -j ACCEPT",
    "other hook": "iptables -P INPUT DROP",
    "back": "iptables -N a; iptables -A a -j RETURN; iptables -A a -j DROP;"
    " iptables -A FORWARD -j a",
    "endless": "iptables -N a; iptables -A a -j LOG; iptables -A FORWARD -j a",
}


@pytest.fixture
def node(host: Host, cni: Cni) -> Guarded:
    """A node with two bridges, whose own rules drop nothing yet."""
    for variant in VARIANTS:
        needs_variant(variant)
    return Guarded(host, cni)


def shell(words: str, variant: str) -> None:
    """Run iptables commands of one variant."""
    for command in words.split(";"):
        name, *rest = command.split()
        run(f"{name}-{variant}", *rest)


def events(path: Path) -> list[tuple[str, str]]:
    """Return level and text of what the last call logged."""
    line = json.loads(path.read_text().splitlines()[-1])
    return [(event["level"], event["text"]) for event in line.get("events", [])]


@pytest.mark.parametrize(
    ("how", "variant"),
    [*((how, "nft") for how in DROPPING), ("policy", "legacy"), ("chain", "legacy")],
)
def test_host_that_drops_gets_rules_where_it_drops(
    node: Guarded, how: str, variant: str, tmp_path: Path
) -> None:
    """Whatever makes FORWARD drop, rules go there, the log says so, and it works."""
    shell(DROPPING[how], variant)
    before, log = saved(variant), tmp_path / "log"
    space = node.container(2)
    node.ok("ADD", space, 2, logFile=str(log))
    assert events(log) == [
        ("info", f"backend iptables: FORWARD of iptables-{variant} drops")
    ]
    assert nft_objects("table", *INET) == []
    with serving(node.outside, "outside"):
        assert ask_from(space, "198.51.100.2", 80) == "outside 10.1.0.2"
        assert ask_from(space, "2001:db8:99::2", 80) == "outside fd01::2"
    node.ok("CHECK", space, 2)
    node.ok("DEL", space, 2)
    assert (saved(variant), left()) == (before, [])


@pytest.mark.parametrize(
    ("how", "variant"), [*((how, "nft") for how in PASSING), ("accepted", "legacy")]
)
def test_host_that_passes_gets_nftables(
    node: Guarded, how: str, variant: str, tmp_path: Path
) -> None:
    """Rules that drop particular packets do not make the host one that drops."""
    shell(PASSING[how], variant)
    before, log = saved(variant), tmp_path / "log"
    node.ok("ADD", node.container(2), 2, logFile=str(log))
    why = "no chain of the host drops what is forwarded"
    assert events(log) == [("info", f"backend nftables: {why}")]
    assert members("containers4") == ["10.1.0.2"]
    assert saved(variant) == before


def test_both_variants_of_a_host_get_rules(node: Guarded) -> None:
    """Where tables of both variants drop, a container gets through both."""
    for variant in VARIANTS:
        drop_forwarded(variant)
    before = [saved(variant) for variant in VARIANTS]
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    assert space.reaches("198.51.100.2")
    node.ok("DEL", space, 2)
    assert [saved(variant) for variant in VARIANTS] == before


def test_backend_nftables_says_what_it_cannot_pass(
    node: Guarded, tmp_path: Path
) -> None:
    """backend nftables is obeyed, and the log warns of what drops all the same."""
    drop_forwarded()
    run("nft", "add table inet own")
    hook = "type filter hook forward priority 5; policy drop;"
    run("nft", f"add chain inet own fw {{ {hook} }}")
    log = tmp_path / "log"
    node.ok("ADD", node.container(2), 2, backend="nftables", logFile=str(log))
    cause = "drops by default what no rule of ours can accept"
    assert events(log) == [
        ("info", "backend nftables: the configuration says so"),
        ("warning", f"inet own fw {cause}"),
        ("warning", f"iptables-nft FORWARD {cause}"),
    ]
    assert members("containers4") == ["10.1.0.2"]


def test_host_without_the_command_is_warned(
    node: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where FORWARD drops and iptables is not installed, ADD works and says it."""
    drop_forwarded()
    monkeypatch.setattr(iptables_command, "DIRECTORIES", ())
    log = tmp_path / "log"
    node.ok("ADD", node.container(2), 2, logFile=str(log))
    assert [level for level, _ in events(log)] == ["info", "warning"]
    asked = {"backend": "iptables"}
    error = node.refused("ADD", node.container(3), 3, **asked)
    msg = "use backend iptables: iptables is not installed"
    assert (error["code"], error["msg"]) == (999, msg)
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", **asked}
    error = node.cni.refused("firewall", "STATUS", conf)
    assert (error["code"], error["msg"]) == (50, msg)


@pytest.mark.parametrize("families", ((4,), (6,), (4, 6)))
def test_backend_iptables_touches_the_families_in_use(
    node: Guarded, families: tuple[int, ...]
) -> None:
    """backend iptables is obeyed on a host that drops nothing, family by family."""
    space = node.container(2)
    asked = {"backend": "iptables", "families": families}
    node.ok("ADD", space, 2, **asked)
    accepted = [line for line in saved() if "net c2 eth0" in line]
    assert len(accepted) == 2 * len(families)
    assert any("10.1.0.2/32" in line for line in accepted) is (4 in families)
    assert any("fd01::2/128" in line for line in accepted) is (6 in families)
    node.ok("CHECK", space, 2, **asked)
    node.ok("DEL", space, 2)
    assert [line for line in saved() if "CNI" in line] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_rules_of_others_and_of_the_administrator_stay(
    node: Guarded, variant: str
) -> None:
    """DEL of the last container leaves the admin chain with its rules, and the rest."""
    drop_forwarded(variant)
    shell("iptables -A FORWARD -s 192.0.2.9 -j ACCEPT", variant)
    one, two = node.container(2), node.container(3)
    node.ok("ADD", one, 2, iptablesAdminChainName="HOUSE")
    shell("iptables -A HOUSE -d 198.51.100.2 -j DROP", variant)
    assert not one.reaches("198.51.100.2")
    node.ok("ADD", two, 3, iptablesAdminChainName="HOUSE", **ISOLATED)
    node.ok("DEL", one, 2)
    node.ok("DEL", two, 3)
    rules = saved(variant)
    assert "-A HOUSE -d 198.51.100.2/32 -j DROP" in rules
    assert "-A FORWARD -s 192.0.2.9/32 -j ACCEPT" in rules
    assert [line for line in rules if "net c" in line or " br0 " in line] == []
    node.ok("ADD", one, 2, iptablesAdminChainName="HOUSE")
    assert not one.reaches("198.51.100.2")
    order = [line.split()[-1] for line in saved(variant) if "-A CNI-FORWARD" in line]
    assert order[:2] == ["HOUSE", "CNI-ISOLATION-STAGE-1"]


def test_administrator_overrides_the_isolation(node: Guarded) -> None:
    """An accept in the administrator's chain comes before the isolation."""
    drop_forwarded()
    one, other = node.container(2), node.neighbour(2)
    node.ok("ADD", one, 2, ingressPolicy="same-bridge")
    node.ok("ADD", other, 2, bridge="br1", ingressPolicy="same-bridge")
    assert not other.reaches("10.1.0.2")
    shell("iptables -A CNI-ADMIN -p icmp -j ACCEPT", "nft")
    assert other.reaches("10.1.0.2")


@pytest.mark.parametrize(
    ("flush", "variant"),
    (
        ("iptables -F", "nft"),
        ("iptables -F", "legacy"),
        ("iptables -F FORWARD", "nft"),
        ("iptables -F; iptables -X", "nft"),
        ("iptables -F CNI-FORWARD", "nft"),
    ),
)
def test_reload_restores_what_was_flushed(
    node: Guarded, flush: str, variant: str
) -> None:
    """After a flush CHECK fails, DEL succeeds and ADD has the same rules again."""
    drop_forwarded(variant)
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    whole = saved(variant)
    shell(flush, variant)
    error = node.refused("CHECK", space, 2, **ISOLATED)
    assert error["msg"].startswith("check firewall: missing rule -A ")
    node.ok("DEL", space, 2)
    node.ok("ADD", space, 2, **ISOLATED)
    assert saved(variant) == whole
    node.ok("CHECK", space, 2, **ISOLATED)


def test_repeated_add_has_each_rule_once(node: Guarded) -> None:
    """ADD again, with and without a change, leaves the rules of the last one alone."""
    drop_forwarded()
    before = saved()
    space = node.container(2)
    node.ok("ADD", space, 2)
    once = saved()
    node.ok("ADD", space, 2)
    assert saved() == once
    node.ok("ADD", space, 2, families=(4,), **ISOLATED)
    node.ok("ADD", space, 2)
    assert sorted(saved()) == sorted(once)
    node.ok("DEL", space, 2)
    assert (saved(), left()) == (before, [])
    assert nft_objects("table", *PORTS) == []


def test_late_delete_leaves_the_new_holder_of_the_address(node: Guarded) -> None:
    """Rules say whose they are: DEL of the former holder takes only its own."""
    drop_forwarded()
    space = node.container(2)
    node.ok("ADD", space, 2, container_id="old")
    node.ok("ADD", space, 2, container_id="new")
    node.ok("DEL", "", 2, container_id="old", prevResult=None)
    assert [line for line in saved() if "net old" in line] == []
    assert space.reaches("198.51.100.2")


@pytest.mark.parametrize(
    "missing",
    (
        "FORWARD -m comment --comment CNI",
        "CNI-FORWARD -m comment --comment CNI",
        "CNI-FORWARD -s 10.1.0.2",
        "CNI-FORWARD -d 10.1.0.2",
        "CNI-FORWARD -m conntrack",
        "CNI-ISOLATION-STAGE-1 -i br0 -o br0",
        "CNI-ISOLATION-STAGE-1 -i br0 ! -o br0",
        "CNI-ISOLATION-STAGE-2 -o br0",
    ),
)
def test_check_names_the_missing_rule(node: Guarded, missing: str) -> None:
    """CHECK says which rule of which table somebody removed."""
    drop_forwarded()
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    (rule,) = [
        line
        for line in saved()
        if line.replace('"', "").startswith(f"-A {missing}") and "fd01" not in line
    ][:1]
    text = f"*filter\n-D{rule[2:]}\nCOMMIT\n"
    run("iptables-nft-restore", "--noflush", input=text)
    error = node.refused("CHECK", space, 2, **ISOLATED)
    assert error["msg"] == f"check firewall: missing rule {rule} of filter table nft4"


def test_delete_and_gc_without_the_command_succeed(
    node: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose iptables was removed since ADD does not keep DEL from ending."""
    drop_forwarded()
    space = node.container(2)
    node.ok("ADD", space, 2, **ISOLATED)
    monkeypatch.setattr(iptables_command, "DIRECTORIES", ())
    node.ok("DEL", space, 2)
    assert left() == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_delete_removes_what_the_reference_left(
    host: Host, cni: Cni, variant: str, tmp_path: Path
) -> None:
    """Containers of the reference are detached one by one, then its chains go."""
    needs_variant(variant)
    node = Guarded(host, cni)
    drop_forwarded(variant)
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).symlink_to(need(f"{name}-{variant}"))
    before = saved(variant)
    for number in (2, 3):
        space = node.container(number)
        conf, options = request(space, number, cniVersion="1.0.0", backend="iptables")
        env = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
        _reference(conf, options, env)
    two = saved(variant)
    node.ok("DEL", "", 9, cniVersion="1.0.0")
    assert saved(variant) == two
    node.ok("DEL", "", 2, cniVersion="1.0.0")
    assert not any("10.1.0.2/" in line for line in saved(variant))
    assert sum("10.1.0.3/" in line for line in saved(variant)) == 2
    node.ok("ADD", node.container(4), 4, cniVersion="1.0.0")
    node.ok("DEL", "", 3, cniVersion="1.0.0")
    assert node.host.spaces[-1].reaches("198.51.100.2")
    node.ok("DEL", "", 4, cniVersion="1.0.0")
    assert saved(variant) == before


def test_containers_of_the_reference_keep_their_policy(
    node: Guarded, tmp_path: Path
) -> None:
    """When our last container leaves, the reference's one is guarded as before."""
    drop_forwarded()
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).symlink_to(need(f"{name}-nft"))
    env = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    keys = {"cniVersion": "1.0.0", "ingressPolicy": "same-bridge"}
    conf, options = request(node.container(2), 2, **keys, backend="iptables")
    _reference(conf, options, env)
    rules = [line for line in saved() if line.startswith("-A")]
    ours = node.container(3)
    node.ok("ADD", ours, 3, **keys)
    node.ok("DEL", ours, 3, **keys)
    assert [r for r in saved() if r in rules] == rules
    node.ok("ADD", ours, 3, **keys)
    assert ours.reaches("198.51.100.2")


def _reference(conf: dict[str, Any], options: Any, env: dict[str, str]) -> None:
    variables = {
        **env,
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": options["container_id"],
        "CNI_NETNS": options["netns"].path,
        "CNI_IFNAME": options["ifname"],
        "CNI_PATH": "/usr/lib/cni",
    }
    program = need("host-local").replace("host-local", "firewall")
    run(program, input=json.dumps(conf), env=variables)
