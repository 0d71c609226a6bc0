# SPDX-License-Identifier: Apache-2.0
"""Containers that the reference attached with iptables are detached by the suite."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import Host, lacking, need, run
from netns.reference.removal import detach_at_once
from reference_node import NETWORK, Reference

from cni_common.frame import execute
from cni_common.naming import Attachment
from cni_common.reference import hostports, masquerading, spoofing, tables
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARED = [
    "CNI-HOSTPORT-DNAT",
    "CNI-HOSTPORT-MASQ",
    "CNI-HOSTPORT-SETMARK",
]


@pytest.fixture(params=("nft", "legacy"))
def reference(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> Reference:
    directory = os.path.dirname(need("host-local"))
    for name in ("iptables", "ip6tables"):
        (tmp_path / name).symlink_to(need(f"{name}-{request.param}"))
    path = f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"
    node = Reference(host, directory, {"PATH": path}, request.param)
    try:
        run(f"iptables-{request.param}", "-t", "nat", "-S")
    except AssertionError:
        lacking(f"the kernel has no nat table for iptables-{request.param}")
    return node


def attachment(container_id: str, ifname: str = "eth0") -> Attachment:
    return Attachment(NETWORK, container_id, ifname)


def detach(container_id: str) -> None:
    hostports.delete(attachment(container_id))
    masquerading.delete(attachment(container_id))


@pytest.mark.parametrize("snat", [True, False])
def test_detached_container_leaves_nothing_and_others_keep_their_rules(
    reference: Reference, *, snat: bool
) -> None:
    """What the second ADD added is what our removal takes away again."""
    reference.attach("one", 8081, snat=snat)
    before = reference.rules()
    reference.attach("two", 8082, snat=snat)
    assert any("two" in line for line in reference.rules())

    detach("two")

    assert reference.rules() == before


def test_last_container_takes_the_shared_chains_along(reference: Reference) -> None:
    """No chain or jump of the reference is left when nobody uses them."""
    reference.attach("one", 8081)
    assert [c for c in SHARED if f":{c} -" in reference.rules()] == SHARED

    detach("one")

    assert reference.rules() == []


def test_rules_of_others_stay_where_they_are(reference: Reference) -> None:
    """Jumps, chains and targets that are not of the reference are left alone."""
    iptables = f"iptables-{reference.variant}"
    run(iptables, "-t", "nat", "-N", "MINE")
    run(iptables, "-t", "nat", "-A", "POSTROUTING", "-s", "10.9.8.2", "-j", "MINE")
    text = ["-m", "comment", "--comment", 'it\'s -j CNI-HOSTPORT-DNAT "now"']
    run(iptables, "-t", "nat", "-A", "PREROUTING", *text, "-j", "MINE")
    before = run(iptables, "-t", "nat", "-S")
    reference.attach("one", 8081)

    detach("one")

    assert run(iptables, "-t", "nat", "-S") == before


def test_shared_chain_used_by_others_stays(reference: Reference) -> None:
    """A mark chain that an administrator jumps to is not torn from under them."""
    reference.attach("one", 8081)
    rule = ["-p", "tcp", "--dport", "99", "-j", "CNI-HOSTPORT-SETMARK"]
    run(f"iptables-{reference.variant}", "-t", "nat", "-A", "OUTPUT", *rule)

    detach("one")

    left = reference.rules()
    assert ":CNI-HOSTPORT-SETMARK -" in left
    assert [line for line in left if "CNI-DN" in line or "one" in line] == []


def test_removal_is_repeatable(reference: Reference) -> None:
    """A second DEL finds nothing, and fails for nothing."""
    reference.attach("one", 8081)
    reference.attach("two", 8082)
    detach("one")
    before = reference.rules()

    detach("one")

    assert reference.rules() == before


def test_second_interface_on_one_network_keeps_its_masquerading(
    reference: Reference,
) -> None:
    """The chain that two interfaces share goes with the second of them."""
    first = reference.attach("one", 8081, "eth0")
    before = reference.rules()
    second = reference.attach("one", 8081, "eth1")
    jumps = [f"-s {address.ip}/" for address in first]

    link_local = ipaddress.ip_interface("fe80::1/64")
    masquerading.delete(attachment("one", "eth1"), [link_local, *second])

    assert [r for r in reference.rules() if "POSTROUTING" in r] == [
        r for r in before if "POSTROUTING" in r
    ]
    assert all(any(jump in rule for rule in reference.rules()) for jump in jumps)
    masquerading.delete(attachment("one", "eth0"), first)
    assert [r for r in reference.rules() if "POSTROUTING -s" in r] == []


def test_chains_of_old_releases_go_too(reference: Reference) -> None:
    """A chain CNI-SN with its entry in CNI-HOSTPORT-SNAT is removed with the rest."""
    reference.attach("one", 8081)
    chain = next(r for r in reference.rules() if r.startswith(":CNI-DN")).split()[0]
    chain = chain.removeprefix(":").replace("-DN-", "-SN-")
    nat = [f"iptables-{reference.variant}", "-t", "nat"]
    for name in (chain, "CNI-HOSTPORT-SNAT"):
        run(*nat, "-N", name)
    run(*nat, "-A", "POSTROUTING", "-j", "CNI-HOSTPORT-SNAT")
    run(*nat, "-A", "CNI-HOSTPORT-SNAT", "-j", chain)
    run(*nat, "-A", chain, "-d", "10.9.8.2", "-j", "MASQUERADE")

    detach("one")

    assert reference.rules() == []


def test_refusal_that_lasts_is_an_error_and_the_rest_is_removed(
    reference: Reference,
) -> None:
    """A chain that a stranger jumps to makes DEL fail until it is let go."""
    reference.attach("one", 8081)
    chain = next(r for r in reference.rules() if r.startswith(":CNI-DN")).split()[0]
    jump = ["-p", "tcp", "--dport", "99", "-j", chain.removeprefix(":")]
    iptables = [f"iptables-{reference.variant}", "-t", "nat"]
    run(*iptables, "-A", "OUTPUT", *jump)

    with pytest.raises(CNIError, match=r"(?i)busy|too many links|line \d+ failed"):
        detach("one")

    ipv6 = run(f"ip6tables-{reference.variant}-save", "-t", "nat")
    assert "CNI-DN" not in ipv6
    run(*iptables, "-D", "OUTPUT", *jump)
    detach("one")
    assert reference.rules() == []


def test_containers_that_leave_at_once_leave_nothing(reference: Reference) -> None:
    """Parallel DELs do not hinder each other, and one of them is the last."""
    leaving = [f"c{number}" for number in range(6)]
    for number, container_id in enumerate(leaving):
        reference.attach(container_id, 8081 + number)

    detach_at_once(NETWORK, leaving)

    assert reference.rules() == []


def test_rule_deleted_by_another_process_in_between_is_no_failure(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look and the act are repeated when the kernel refuses the transaction."""
    reference.attach("one", 8081)
    taken: list[str] = []

    def meanwhile(remove: Callable[..., None]) -> Callable[..., None]:
        def first_somebody_else(table: Any, doomed: Any, chains: Any) -> None:
            if not taken and doomed:
                taken.append(reference.variant)
                iptables = f"{'iptables' if table.version == 4 else 'ip6tables'}"
                command = f"{iptables}-{reference.variant}"
                run(command, "-t", "nat", "-F", doomed[0].chain)
            remove(table, doomed, chains)

        return first_somebody_else

    for variant in (tables.NftTable, tables.LegacyTable):
        monkeypatch.setattr(variant, "remove", meanwhile(variant.remove))

    detach("one")

    assert taken == [reference.variant]
    assert [line for line in reference.rules() if "one" in line] == []


@pytest.mark.usefixtures("host")
def test_node_without_the_reference_starts_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is run and nothing is made where the reference never was."""
    started: list[Any] = []
    original = execute.execute

    def spy(command: Any, *rest: Any) -> Any:
        started.append(command)
        return original(command, *rest)

    monkeypatch.setattr(execute, "execute", spy)

    detach("one")
    spoofing.delete(attachment("one"))

    assert started == []
    assert run("nft", "list", "ruleset") == ""
    with open("/proc/thread-self/net/ip_tables_names", encoding="ascii") as names:
        assert names.read() == ""


def test_legacy_table_is_changed_by_its_own_command(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is started only for what iptables-legacy wrote."""
    reference.attach("one", 8081)
    started: list[str] = []
    original = execute.execute

    def spy(command: Any, *rest: Any) -> Any:
        started.append(os.path.basename(command[0]))
        return original(command, *rest)

    monkeypatch.setattr(execute, "execute", spy)

    detach("one")

    expected = {
        "nft": set(),
        "legacy": {
            f"{family}-legacy-{verb}"
            for family in ("iptables", "ip6tables")
            for verb in ("save", "restore")
        },
    }
    assert set(started) == expected[reference.variant]
