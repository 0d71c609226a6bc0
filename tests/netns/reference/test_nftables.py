# SPDX-License-Identifier: Apache-2.0
"""Containers that newer releases of the reference attached with nftables are detached.

The distribution's reference knows iptables only, so that its tables are built here
rule by rule as releases from 1.7 on write them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.reference.removal import detach_at_once

from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.reference import hostports, masquerading, names, spoofing

if TYPE_CHECKING:
    from lab import Cni, Host

UNIT_TEST, ETH0_ONE = "6fd94d501e58f0aa", "287fc69eff0574a2"
ONE = Attachment("unit-test", "one", "eth0")

MASQUERADE = """
table inet cni_plugins_masquerade {
  comment "Masquerading for plugins from github.com/containernetworking/plugins"
  chain masq_checks {
    comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside"
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    ip daddr 224.0.0.0/4 return
    ip6 daddr ff00::/8 return
    goto masq_checks
  }
}
"""
HOSTPORT = """
table {family} cni_hostport {{
  comment "CNI portmap plugin"
  chain hostports {{ }}
  chain hostip_hostports {{ }}
  chain hostports_all {{
    jump hostip_hostports
    jump hostports
  }}
  chain prerouting {{
    type nat hook prerouting priority -100;
    fib daddr type local jump hostports_all
  }}
  chain output {{
    type nat hook output priority -100;
    fib daddr type local jump hostports_all
  }}
  chain masquerading {{ type nat hook postrouting priority 100; }}
}}
"""


def apply(text: str) -> None:
    run("nft", "-f", "-", input=text)


def ruleset() -> str:
    return run("nft", "list", "ruleset")


def masquerade(comment: str, address: str, subnet: str, family: str = "ip") -> None:
    match = f"{family} saddr == {address} {family} daddr != {subnet}"
    rule = f'{match} masquerade comment "{comment}"'
    apply(f"add rule inet cni_plugins_masquerade masq_checks {rule}")


def publish(
    container_id: str, address: str, port: int, chain: str = "hostports"
) -> None:
    version = ipaddress.ip_address(address).version
    family, target = ("ip", address) if version == 4 else ("ip6", f"[{address}]")
    table, comment = f"{family} cni_hostport", f'comment "{container_id}"'
    own = f"{family} saddr {address} {family} daddr {address}"
    apply(
        f"add rule {table} {chain} tcp dport {port} dnat to {target}:80 {comment}\n"
        f"add rule {table} masquerading {own} masquerade {comment}"
    )
    if version == 4:
        own = f"ip saddr 127.0.0.1 ip daddr {address}"
        apply(f"add rule {table} masquerading {own} masquerade {comment}")


def interfaces(*texts: str) -> list[Any]:
    return [ipaddress.ip_interface(text) for text in texts]


@pytest.fixture
def masqueraded(host: Host) -> str:  # noqa: ARG001 - its namespace is entered
    """A node where the reference masquerades "two"; what its rules look like."""
    apply(MASQUERADE)
    two = f"{UNIT_TEST}-0123456789abcdef, net: unit-test, if: eth0, id: two"
    masquerade(two, "192.168.1.6", "192.168.1.0/24")
    return ruleset()


@pytest.fixture
def published(host: Host) -> str:  # noqa: ARG001 - its namespace is entered
    """A node where the reference publishes a port of "two"; its rules."""
    for family in ("ip", "ip6"):
        apply(HOSTPORT.format(family=family))
    publish("two", "10.1.2.4", 8081)
    publish("two", "fd00:1::4", 8081)
    return ruleset()


def test_other_network_of_the_container_keeps_its_port(
    published: str, cni: Cni
) -> None:
    """DEL of portmap takes the rules that lead to the addresses of its prevResult."""
    publish("one", "10.9.0.5", 8090)
    with_other = ruleset()
    publish("one", "10.1.2.5", 8080)
    result = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.2.5/24"}]}
    conf = {"cniVersion": "1.1.0", "name": "unit-test", "type": "portmap"}

    cni.ok("portmap", "DEL", {**conf, "prevResult": result}, container_id="one")

    assert ruleset() == with_other
    cni.ok("portmap", "DEL", conf, container_id="one")
    assert ruleset() == published


def test_masquerading_of_one_container_goes_and_of_others_stays(
    masqueraded: str,
) -> None:
    """Rules are told apart by the hashes of network and of interface and container."""
    ours = f"{UNIT_TEST}-{ETH0_ONE}, net: unit-test, if: eth0, id: one"
    masquerade(ours, "192.168.1.5", "192.168.1.0/24")
    masquerade(ours, "2001:db8::5", "2001:db8::/64", "ip6")
    assert ruleset() != masqueraded

    masquerading.delete(ONE)

    assert ruleset() == masqueraded


@pytest.mark.parametrize(
    "other",
    [
        Attachment("unit-test", "one", "eth1"),
        Attachment("unit-test2", "one", "eth0"),
        Attachment("unit-test", "on", "eth0"),
    ],
)
def test_masquerading_of_a_namesake_stays(masqueraded: str, other: Attachment) -> None:
    """Another network, container or interface is another attachment."""
    ours = f"{UNIT_TEST}-{ETH0_ONE}, net: unit-test, if: eth0, id: one"
    masquerade(ours, "192.168.1.5", "192.168.1.0/24")
    before = ruleset()

    masquerading.delete(other)

    assert ruleset() == before != masqueraded


@pytest.mark.usefixtures("host")
def test_last_masquerading_rule_takes_its_table_along() -> None:
    """Nothing of the reference hooks postrouting when it masquerades nobody."""
    apply(MASQUERADE)
    masquerade(f"{UNIT_TEST}-{ETH0_ONE}, net: unit-test", "192.168.1.5", "10.0.0.0/8")

    masquerading.delete(ONE)

    assert ruleset() == ""


def test_ports_of_one_container_go_and_of_others_stay(published: str) -> None:
    """Rules are told apart by the container ID; the legacy chain is looked at too."""
    publish("one", "10.1.2.3", 8080)
    publish("one", "10.1.2.3", 8082, "hostip_hostports")
    publish("one", "fd00:1::3", 8080)
    assert ruleset() != published

    hostports.delete(ONE)

    assert ruleset() == published


def test_last_published_port_takes_its_tables_along(published: str) -> None:
    """No hook of the reference is left when it publishes nothing."""
    assert 'comment "two"' in published

    hostports.delete(Attachment("unit-test", "two", "eth0"))

    assert ruleset() == ""


def test_same_container_on_two_networks_keeps_the_other_ports(published: str) -> None:
    """With known addresses only the rules that lead to them go, then all the rest."""
    publish("one", "10.7.7.7", 7070)
    publish("one", "fd00:7::7", 7070)
    other_network = ruleset()
    publish("one", "10.1.2.3", 8080)
    publish("one", "fd00:1::3", 8080)

    hostports.delete(ONE, interfaces("10.1.2.3/24", "fd00:1::3/64"))
    assert ruleset() == other_network

    hostports.delete(ONE, interfaces("10.7.7.7/24", "fd00:7::7/64"))
    assert ruleset() == published


def test_rule_that_masquerades_everything_goes_with_the_last_port(
    published: str,
) -> None:
    """A rule of masqAll names no address: it stays while another network needs it."""
    publish("one", "10.7.7.7", 7070)
    everything = 'ip saddr 0.0.0.0/0 masquerade comment "one"'
    apply(f"add rule ip cni_hostport masquerading {everything}")
    other_network = ruleset()
    publish("one", "10.1.2.3", 8080)

    hostports.delete(ONE, interfaces("10.1.2.3/24"))
    assert ruleset() == other_network

    hostports.delete(ONE, interfaces("10.7.7.7/24"))
    assert ruleset() == published


@pytest.mark.usefixtures("masqueraded")
def test_container_that_comes_meanwhile_keeps_its_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An ADD of the reference between our look and our act is not swept away."""
    original, came = nft.run, []

    def somebody_comes(transaction: str) -> None:
        if not came:
            came.append(transaction)
            table = "inet cni_plugins_masquerade"
            apply(f"""
                flush chain {table} postrouting
                add rule {table} postrouting ip daddr 224.0.0.0/4 return
                add rule {table} postrouting ip6 daddr ff00::/8 return
                add rule {table} postrouting goto masq_checks
            """)
            masquerade("0-0, net: n, if: eth0, id: new", "192.168.1.9", "10.0.0.0/8")
        original(transaction)

    monkeypatch.setattr(nft, "run", somebody_comes)
    ours = f"{UNIT_TEST}-0123456789abcdef"
    monkeypatch.setattr(names, "masquerade_comment", lambda _: ours)

    masquerading.delete(ONE)

    assert "delete table" in came[0]
    left = nft_objects("chain", "inet", "cni_plugins_masquerade", "masq_checks")
    comments = [item["rule"]["comment"] for item in left if "rule" in item]
    assert comments == ["0-0, net: n, if: eth0, id: new"]


def test_containers_that_leave_at_once_leave_nothing(
    masqueraded: str, published: str
) -> None:
    """Parallel DELs do not hinder each other, and one of them is the last."""
    assert masqueraded in published
    leaving = [f"c{number}" for number in range(6)]
    for number, container_id in enumerate(leaving):
        publish(container_id, f"10.1.2.{10 + number}", 9000 + number)
        publish(container_id, f"fd00:1::{10 + number}", 9000 + number)
        ours = names.masquerade_comment(Attachment("unit-test", container_id, "eth0"))
        masquerade(f"{ours}, net: unit-test", f"10.1.2.{10 + number}", "10.1.2.0/24")

    detach_at_once("unit-test", leaving)
    assert ruleset() == published

    hostports.delete(Attachment("unit-test", "two", "eth0"))
    assert ruleset() == masqueraded


@pytest.mark.usefixtures("host")
def test_tables_go_when_all_leave_at_once() -> None:
    """Of several DELs at the same moment, each seeing the rest, one clears up."""
    for family in ("ip", "ip6"):
        apply(HOSTPORT.format(family=family))
    leaving = [f"c{number}" for number in range(6)]
    for number, container_id in enumerate(leaving):
        publish(container_id, f"10.1.2.{10 + number}", 9000 + number)
        publish(container_id, f"fd00:1::{10 + number}", 9000 + number)

    detach_at_once("unit-test", leaving)

    assert ruleset() == ""


@pytest.mark.usefixtures("host")
def test_repeated_removal_finds_nothing() -> None:
    """A DEL for what is gone changes nothing and fails for nothing."""
    hostports.delete(ONE)
    masquerading.delete(ONE)
    spoofing.delete(ONE)

    assert ruleset() == ""
