# SPDX-License-Identifier: Apache-2.0
"""UDP entries of conntrack: those of published ports are forgotten, others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import need, run
from netns.portmap.helpers import NODE, NODE6, Node, ask_from, mapping, request, serving

from cni_common.kernel import conntrack
from cni_common.kernel.conntrack import Flow

if TYPE_CHECKING:
    from lab import Cni, Host

CLIENT = "198.51.100.2"


@pytest.fixture
def node(host: Host, cni: Cni) -> Node:
    """A node with a bridge and a neighbour outside."""
    need("conntrack")
    return Node(host, cni)


def known(family: str = "ipv4") -> set[tuple[str, str, str]]:
    """Return protocol, original destination and port of the entries, as listed."""
    found = set()
    for line in run("conntrack", "-L", "-f", family, check=False).splitlines():
        words = line.split()
        first = {w.split("=")[0]: w.split("=")[1] for w in reversed(words) if "=" in w}
        if "dport" in first:
            found.add((words[0], first["dst"], first["dport"]))
    return found


def add_entry(
    port: int, destination: str = NODE, protocol: str = "udp", source: str = CLIENT
) -> None:
    """Have conntrack know a flow from the client to `destination`."""
    pair = ("-s", source, "-d", destination, "--sport", "4000", "--dport", str(port))
    state = ("--state", "ESTABLISHED") if protocol == "tcp" else ()
    run("conntrack", "-I", "-p", protocol, *pair, "-t", "600", *state)


@pytest.mark.parametrize("verb", ("ADD", "DEL"))
def test_stale_flow_follows_the_rules(node: Node, verb: str) -> None:
    """A UDP client that keeps its port gets the present holder after ADD and DEL."""
    space = node.container(2)
    conf, options = request(space, 2, mapping(5353, protocol="udp"))
    same = {"udp": True, "source": (CLIENT, 4000)}
    with serving(space, "container", udp=True):
        if verb == "ADD":
            # The kernel has an entry that leads to the host itself.
            assert ask_from(node.outside, NODE, 5353, **same) == ""
            add_entry(5353)
            node.cni.ok("portmap", "ADD", conf, **options)
            answer = ask_from(node.outside, NODE, 5353, **same)
            assert answer == f"container {CLIENT}"
        else:
            node.cni.ok("portmap", "ADD", conf, **options)
            assert ask_from(node.outside, NODE, 5353, **same) != ""
            node.cni.ok("portmap", "DEL", conf, **options)
            assert ("udp", NODE, "5353") not in known()


def test_exactly_these_ports_are_forgotten(node: Node) -> None:
    """Another port, protocol, or machine keeps its entries."""
    add_entry(5353)
    add_entry(5354)
    add_entry(5353, protocol="tcp")
    add_entry(5353, destination="192.0.2.7", source="10.1.0.2")
    node.publish(node.container(2), 2, mapping(5353, protocol="udp"))
    assert known() == {
        ("udp", NODE, "5354"),
        ("tcp", NODE, "5353"),
        ("udp", "192.0.2.7", "5353"),
    }


def test_host_ip_limits_what_is_forgotten(node: Node) -> None:
    """A mapping on one address forgets that address only."""
    add_entry(5353)
    add_entry(5353, destination="10.1.0.1")
    udp = mapping(5353, protocol="udp", hostIP="10.1.0.1")
    node.publish(node.container(2), 2, udp)
    assert known() == {("udp", NODE, "5353")}


def test_tcp_mapping_forgets_nothing(node: Node) -> None:
    """A mapping for TCP leaves conntrack alone."""
    add_entry(5353)
    node.publish(node.container(2), 2, mapping(5353))
    assert known() == {("udp", NODE, "5353")}


@pytest.mark.usefixtures("node")
def test_ipv6_and_several_ports_are_forgotten() -> None:
    """Entries of several ports go in one call, of IPv6 too."""
    for port in (5353, 5354, 5355):
        add_entry(port, NODE6, source="2001:db8:99::2")
        add_entry(port)
    flows = {Flow(6, 5353, ""), Flow(6, 5354, NODE6), Flow(4, 5353, ""), Flow(4, 1, "")}
    assert conntrack.delete_udp(flows) == ""
    assert known("ipv6") == {("udp", NODE6, "5355")}
    assert known() == {("udp", NODE, "5354"), ("udp", NODE, "5355")}


def test_many_entries_are_forgotten(node: Node) -> None:
    """More entries than one answer of the kernel holds are all found."""
    flow = f"-I -p udp -s {CLIENT} -d {NODE} --dport 5353 -t 600 --sport"
    flows = "".join(f"{flow} {1000 + i}\n" for i in range(600))
    run("conntrack", "--load-file", "-", input=flows)
    assert len(run("conntrack", "-L").splitlines()) == 600
    node.publish(node.container(2), 2, mapping(5353, protocol="udp"))
    assert known() == set()
