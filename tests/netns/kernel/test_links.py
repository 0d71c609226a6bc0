# SPDX-License-Identifier: Apache-2.0
"""Links, ports and addresses through our netlink, looked at with ip."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_interface, ip_network
from typing import TYPE_CHECKING

import pytest
from lab import ip, run

from cni_common import naming
from cni_common.kernel import addresses, bridges, link_waits, links, netns, routes
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Cni, Host, Space

pytestmark = pytest.mark.usefixtures("host")
PORTS_MAX = 1023  # BR_MAX_PORTS


def pair(*more: str) -> None:
    """Add a veth pair a0, a1."""
    run("ip", "link", "add", "a0", "type", "veth", "peer", "name", "a1", *more)


def test_port_that_never_gets_a_carrier() -> None:
    """Waiting for a port whose peer is down ends with an error."""
    run("ip", "link", "add", "br0", "type", "bridge")
    pair()
    run("ip", "link", "set", "a0", "master", "br0", "up")
    with Netlink() as netlink, pytest.raises(CNIError) as refused:
        link_waits.port_enabled(netlink, "a0", seconds=0.05)
    assert refused.value.msg == "bring up bridge port a0: it stays disabled"
    assert refused.value.details == "its link is lowerlayerdown"


def test_address_that_stays_tentative() -> None:
    """Waiting for duplicate detection ends with an error when time is up."""
    pair()
    run("ip", "link", "set", "a0", "up")
    run("ip", "link", "set", "a1", "up")
    run("ip", "addr", "add", "fd00::1/64", "dev", "a0")
    with Netlink() as netlink, pytest.raises(CNIError) as refused:
        addresses.wait_usable(netlink, links.existing(netlink, "a0"), seconds=0.05)
    assert refused.value.msg == "use addresses of a0: still tentative"


def test_address_that_the_link_has_already() -> None:
    """Adding an address twice is refused with the kernel's cause."""
    pair()
    address = ip_interface("10.0.0.1/24")
    with Netlink() as netlink:
        link = links.existing(netlink, "a0")
        netlink.carry_out(*addresses.additions(netlink, link, [address]))
        with pytest.raises(CNIError, match=r"^add address 10.0.0.1/24 of a0: "):
            netlink.carry_out(*addresses.additions(netlink, link, [address]))
        assert not addresses.ensure(netlink, link, address)
        addresses.delete(netlink, link, address)
        addresses.delete(netlink, link, address)
    assert ip("addr", "show", "a0")[0]["addr_info"] == []


def test_point_to_point_subnet_has_no_broadcast() -> None:
    """A /31 gets no broadcast address (RFC 3021), a /24 its last one."""
    pair()
    with Netlink() as netlink:
        link = links.existing(netlink, "a0")
        wanted = [ip_interface("10.0.0.0/31"), ip_interface("10.0.1.1/24")]
        netlink.carry_out(*addresses.additions(netlink, link, wanted))
    shown = ip("addr", "show", "a0")[0]["addr_info"]
    assert [a.get("broadcast") for a in shown] == [None, "10.0.1.255"]


def test_route_that_the_kernel_refuses() -> None:
    """An unreachable gateway is named in the error."""
    pair()
    run("ip", "link", "set", "a0", "up")
    dst, gw = ip_network("fd01::/64"), IPv6Address("fd00::1")
    with Netlink() as netlink:
        link = links.existing(netlink, "a0")
        with pytest.raises(CNIError) as refused:
            netlink.carry_out(routes.addition(link, dst, gw))
    assert refused.value.msg.startswith("add route fd01::/64 via fd00::1: ")


def test_routes_of_a_table_that_is_not_there() -> None:
    """A routing table that nobody made has no routes."""
    pair()
    with Netlink() as netlink:
        assert routes.of_link(netlink, links.existing(netlink, "a0"), 4711) == []


@pytest.mark.parametrize("function", [links.set_up, links.set_promiscuous])
def test_change_of_an_absent_link(function: object) -> None:
    """What is not there cannot be set."""
    assert callable(function)
    with Netlink() as netlink, pytest.raises(CNIError, match=r"^set link no0 "):
        function(netlink, "no0")


def test_delete_of_an_absent_link() -> None:
    """Absence is what deleting wants."""
    with Netlink() as netlink:
        links.delete(netlink, "no0")


def test_loopback_cannot_be_deleted() -> None:
    """What the kernel will not delete is named with its cause."""
    with Netlink() as netlink, pytest.raises(CNIError, match=r"^delete link lo: "):
        links.delete(netlink, "lo")


def test_flags_of_what_is_no_port() -> None:
    """hairpin and isolation belong to ports of a bridge."""
    pair()
    with Netlink() as netlink, pytest.raises(CNIError, match=r"^set bridge port a0: "):
        bridges.set_port(netlink, "a0", hairpin=True, isolated=False)


def test_bridge_of_that_name_is_accepted_once() -> None:
    """A bridge that somebody made in the same moment is not ours."""
    with Netlink() as netlink:
        mac = naming.random_mac()
        made = bridges.add(netlink, "br0", mac, alias="ours")
        again = bridges.add(netlink, "br0", naming.random_mac(), alias="another's")
    (shown,) = ip("link", "show", "br0")
    assert (shown["address"], shown["ifalias"]) == (mac, "ours")
    assert made is not None
    assert (made.index, made.mac, made.alias) == (shown["ifindex"], mac, "ours")
    assert again is None


def test_alias_with_the_links_as_they_are_then() -> None:
    """One request gives the alias and returns several links; none is asked in vain."""
    pair()
    numbers = {each["ifname"]: each["ifindex"] for each in ip("link")}
    with Netlink() as netlink:
        one, other = links.mark(netlink, "a0", "whose", "lo")
        assert (one.name, one.alias, one.index) == ("a0", "whose", numbers["a0"])
        assert (other.name, other.index) == ("lo", numbers["lo"])
        found = [link and link.name for link in links.each(netlink, "a0", "b", "lo")]
        assert found == ["a0", None, "lo"]
        with pytest.raises(CNIError, match=r"^set link b alias: no such device$"):
            links.mark(netlink, "b", "whose", "lo")
        with pytest.raises(CNIError, match=r"^find link b: no such device$"):
            links.mark(netlink, "a0", "whose", "b")
        assert links.existing(netlink, "lo") == other


def test_several_changes_at_once() -> None:
    """Each is tried, and the error is about the first that was refused."""
    pair()
    with Netlink() as netlink:
        link = links.existing(netlink, "a0")
        good, bad = ip_interface("10.0.0.1/24"), IPv6Address("fd00::1")
        held = addresses.additions(netlink, link, [good])
        routed = [
            routes.addition(link, ip_network("fd01::/64"), bad),
            routes.addition(link, ip_network("10.1.0.0/24")),
        ]
        with pytest.raises(CNIError, match=r"^add route fd01::/64 via fd00::1: "):
            netlink.carry_out(links.setting_up("a0"), *held, *routed)
    assert ip("addr", "show", "a0")[0]["addr_info"][0]["local"] == "10.0.0.1"
    assert "10.1.0.0/24" in {route["dst"] for route in ip("route")}


def test_name_that_is_taken(cni: Cni, container: Space) -> None:
    """A link of somebody else under the derived name makes us take another one."""
    owner = naming.Attachment("net", "c1", "eth0")
    name = naming.host_veth(owner)
    run("ip", "link", "add", name, "type", "bridge")
    document = {"cniVersion": "1.1.0", "name": "net", "bridge": "br0"}
    result = cni.ok("bridge", "ADD", document, netns=container)
    assert result["interfaces"][1]["name"] == naming.host_veth(owner, 1)
    cni.ok("bridge", "DEL", document, netns=container)
    assert {i["ifname"] for i in ip("link", "show")} == {"lo", "br0", name}


def test_names_that_are_all_taken(cni: Cni, container: Space) -> None:
    """When every derived name is a stranger's ADD fails and touches none of them."""
    owner = naming.Attachment("net", "c1", "eth0")
    names = {naming.host_veth(owner, attempt) for attempt in range(10)}
    for name in names:
        run("ip", "link", "add", name, "type", "bridge")
    document = {"cniVersion": "1.1.0", "name": "net", "bridge": "br0"}
    error = cni.refused("bridge", "ADD", document, netns=container)
    assert error["msg"] == "name host end of eth0: 10 names are taken"
    assert {i["ifname"] for i in ip("link", "show")} == {"lo", *names}


def test_bridge_with_all_its_ports_taken(cni: Cni, host: Host) -> None:
    """The 1024th port is refused by name, and nothing is left of it."""
    space = host.space()
    lines = ["link add br0 type bridge"]
    lines += [
        f"link add p{number} master br0 type veth peer name q{number}"
        for number in range(PORTS_MAX)
    ]
    run("ip", "-batch", "-", input="\n".join(lines))
    before = len(ip("link", "show"))
    document = {"cniVersion": "1.1.0", "name": "net", "bridge": "br0"}
    error = cni.refused("bridge", "ADD", document, netns=space)
    assert error["msg"].startswith("add veth veth")
    assert error["msg"].endswith(" to bridge br0: the bridge has no free port")
    assert len(ip("link", "show")) == before
    run("ip", "link", "del", "br0")


def test_namespace_that_is_none(tmp_path: object) -> None:
    """A plain file, a directory and an absent path are code 8 with their cause."""
    for path, cause in (
        ("/etc/hostname", "not a network namespace"),
        (str(tmp_path), "not a network namespace"),
        ("/proc/self/ns/mnt", "not a network namespace"),
        ("/nowhere", "no such file or directory"),
    ):
        with pytest.raises(CNIError) as refused:
            netns.open_path(path)
        assert refused.value.code == 8
        assert refused.value.msg == f"open network namespace {path!r}: {cause}"
