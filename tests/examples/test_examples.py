# SPDX-License-Identifier: Apache-2.0
"""Every file of conf-examples does what its row in the README promises."""

import ipaddress

import pytest

from tests.examples.lab import EXAMPLES, FILES, Lab, conflist
from tests.examples.surroundings import example
from tests.runtimes import web
from tests.runtimes.sandbox.chain import PluginError

PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
VLAN = "41-vlan.conflist"
# Not for two containers at once; test_whole_directory.py attaches one.
SINGLE = {"81-host-device.conflist", "90-vlan.conflist"}
# Leases go back some time after DEL; test_dhcp_example.py waits for that.
LEASED = "88-dhcp.conflist"
ATTACHED = [example(name) for name in FILES if name not in {*SINGLE, LEASED}]


@pytest.mark.parametrize("name", FILES)
def test_example_has_a_row_in_the_readme(name: str) -> None:
    """The README names every file."""
    assert f"`{name}`" in (EXAMPLES / "README.md").read_text()


def test_examples_do_not_share_a_network_name() -> None:
    """All files can lie in one configuration directory."""
    names = [conflist(name)["name"] for name in FILES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", ATTACHED)
def test_example_attaches_and_leaves_nothing(lab: Lab, name: str) -> None:
    """Two containers are attached, checked and detached without a trace."""
    network = lab.network(name)
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        names = [interface["name"] for interface in first.result["interfaces"]]
    assert "eth0" in names
    assert lab.left(first, second) == []


@pytest.mark.parametrize(
    "name",
    [
        "10-containerd-bridge.conflist",
        "11-crio-bridge.conflist",
        "12-kubernetes-bandwidth.conflist",
        "13-cluster-pool.conflist",
        "20-podman.conflist",
        "21-nerdctl.conflist",
        "22-podman-created.conflist",
        "30-dual-stack.conflist",
        "31-ipv6-only.conflist",
        "50-published-ports-conditions.conflist",
        "60-frontend.conflist",
    ],
)
def test_containers_reach_each_other_and_the_outside(lab: Lab, name: str) -> None:
    """The neighbour answers, and the outside sees the host's address."""
    network = lab.network(name)
    web.serve_source(lab.sandbox, "client")
    with lab.attached(network, "c1") as first, lab.attached(network, "c2") as second:
        page = lab.page(f"http://{second.address}/", first.name)
        outside = {4: f"http://{web.CLIENT}:8000/", 6: f"http://[{web.CLIENT6}]:8000/"}
        families = {ipaddress.ip_address(a).version for a in first.addresses}
        sources = {lab.page(outside[family], first.name) for family in families}
    hosts = {4: web.HOST, 6: web.HOST6}
    assert page == web.PAGE
    assert sources == {hosts[family] for family in families}


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("10-containerd-bridge.conflist", (web.HOST, f"[{web.HOST6}]")),
        ("12-kubernetes-bandwidth.conflist", (web.HOST, f"[{web.HOST6}]")),
        ("20-podman.conflist", (web.HOST,)),
        ("21-nerdctl.conflist", (web.HOST,)),
        ("22-podman-created.conflist", (web.HOST, f"[{web.HOST6}]")),
        ("30-dual-stack.conflist", (web.HOST, f"[{web.HOST6}]")),
        ("31-ipv6-only.conflist", (f"[{web.HOST6}]",)),
        ("60-frontend.conflist", (web.HOST,)),
    ],
)
def test_published_port_answers_the_outside(
    lab: Lab, name: str, hosts: tuple[str, ...]
) -> None:
    """A port published by capability is open on the host's addresses."""
    network = lab.network(name)
    with lab.attached(network, "c1", portMappings=[PORT]) as attached:
        pages = [lab.page(f"http://{host}:8080/", "client") for host in hosts]
    assert pages == [web.PAGE] * len(hosts)
    assert lab.left(attached) == []


def test_layer2_container_has_the_requested_mac(lab: Lab) -> None:
    """40: the MAC comes from the runtime; there is no address."""
    network = lab.network("40-layer2-static-mac.conflist")
    with lab.attached(network, "c1", mac="02:00:00:00:00:40"):
        show = ("ip", "-j", "-n", "c1", "addr", "show", "eth0")
        link = lab.sandbox.json(*show)[0]
    local = [a["local"] for a in link["addr_info"] if a["scope"] == "global"]
    assert (link["address"], local) == ("02:00:00:00:00:40", [])


def test_layer2_containers_reach_each_other(lab: Lab) -> None:
    """40: containers that bring their own addresses talk over the bridge."""
    network = lab.network("40-layer2-static-mac.conflist")
    with lab.attached(network, "c1"), lab.attached(network, "c2"):
        for number in (1, 2):
            address = f"192.0.2.{number}/24"
            netns = f"c{number}"
            lab.sandbox.run("ip", "-n", netns, "addr", "add", address, "dev", "eth0")
        page = lab.page("http://192.0.2.2/", "c1")
    assert page == web.PAGE


def test_layer2_container_cannot_use_another_mac(lab: Lab) -> None:
    """40: frames with a source MAC that is not the container's own are dropped."""
    network = lab.network("40-layer2-static-mac.conflist")
    with lab.attached(network, "c1"), lab.attached(network, "c2"):
        for number in (1, 2):
            address = f"192.0.2.{number}/24"
            netns = f"c{number}"
            lab.sandbox.run("ip", "-n", netns, "addr", "add", address, "dev", "eth0")
        change = ("ip", "-n", "c1", "link", "set", "eth0", "address")
        lab.sandbox.run(*change, "02:00:00:00:00:66")
        page = lab.refused("http://192.0.2.2/", "c1")
    assert page == ""


@pytest.mark.needs_kernel("vlan_filtering")
def test_vlan_separates_networks(lab: Lab) -> None:
    """41: neighbours in VLAN 100 talk; the same bridge without the VLAN is apart."""
    network, other = lab.network(VLAN), lab.network(VLAN)
    other.conflist["name"] = "vlan-200"
    other.conflist["plugins"][0]["vlan"] = 200
    with (
        lab.attached(network, "c1") as first,
        lab.attached(network, "c2") as neighbour,
        lab.attached(other, "c3") as stranger,
    ):
        near = lab.page(f"http://{neighbour.address}/", "c1")
        far = lab.refused(f"http://{stranger.address}/", "c1")
    assert (near, far) == (web.PAGE, "")
    assert lab.left(first, neighbour, stranger) == []


def test_isolated_ports_reach_the_outside_only(lab: Lab) -> None:
    """42: containers do not reach each other, but the gateway and the outside."""
    network = lab.network("42-isolated-ports.conflist")
    web.serve_source(lab.sandbox, "client")
    with lab.attached(network, "c1"), lab.attached(network, "c2") as neighbour:
        near = lab.refused(f"http://{neighbour.address}/", "c1")
        outside = lab.page(f"http://{web.CLIENT}:8000/", "c1")
    assert (near, outside) == ("", web.HOST)


@pytest.mark.parametrize(
    ("inside", "outside"), [("192.0.2.1", "192.0.2.2"), ("fd98::1", "fd98::2")]
)
def test_conditions_close_the_ports_to_one_interface(
    lab: Lab, inside: str, outside: str
) -> None:
    """50: published ports answer, except to requests that come in by eth9."""
    lab.sandbox.run("ip", "netns", "add", "public")
    words = ("ip", "link", "add", "eth9", "type", "veth", "peer", "eth0")
    lab.sandbox.run(*words, "netns", "public")
    add_address(lab, inside, "eth9")
    add_address(lab, outside, "eth0", "public")
    host = f"[{inside}]" if ":" in inside else inside
    open_host = f"[{web.HOST6}]" if ":" in inside else web.HOST
    network = lab.network("50-published-ports-conditions.conflist")
    with lab.attached(network, "c1", portMappings=[PORT]):
        private = lab.page(f"http://{open_host}:8080/", "client")
        public = lab.refused(f"http://{host}:8080/", "public")
    assert (private, public) == (web.PAGE, "")


def add_address(lab: Lab, address: str, link: str, netns: str | None = None) -> None:
    """The link is up and has the address, usable at once."""
    at = ("-n", netns) if netns else ()
    length, dad = ("64", ("nodad",)) if ":" in address else ("24", ())
    words = ("addr", "add", f"{address}/{length}", "dev", link)
    lab.sandbox.run("ip", *at, *words, *dad)
    lab.sandbox.run("ip", *at, "link", "set", link, "up")


def test_one_container_in_two_networks(lab: Lab) -> None:
    """60 and 61: ports and the outside by eth0, private neighbours by eth1."""
    frontend = lab.network("60-frontend.conflist")
    backend = lab.network("61-backend.conflist")
    with (
        lab.attached(frontend, "c1", portMappings=[PORT]) as front,
        lab.attached(backend, "c1", ifname="eth1"),
        lab.attached(backend, "c2") as database,
    ):
        published = lab.page(f"http://{web.HOST}:8080/", "client")
        private = lab.page(f"http://{database.address}/", "c1")
        closed = lab.refused(f"http://{front.address}/", "c2")
    assert (published, private, closed) == (web.PAGE, web.PAGE, "")
    assert lab.left(front, database) == []


def test_backend_has_no_way_out(lab: Lab) -> None:
    """61: a container in the backend alone has no default route."""
    with lab.attached(lab.network("61-backend.conflist"), "c1"):
        routes = lab.sandbox.json("ip", "-j", "-n", "c1", "route", "show", "default")
    assert routes == []


def test_reserved_range_gives_addresses_from_its_start(lab: Lab) -> None:
    """70: addresses come from .100 to .199, the gateway is .254."""
    network = lab.network("70-reserved-addresses.conflist")
    with lab.attached(network, "c1") as attached:
        entry = attached.result["ips"][0]
    assert (entry["address"], entry["gateway"]) == ("10.70.0.100/24", "10.70.0.254")


def test_reserved_range_gives_the_requested_address(lab: Lab) -> None:
    """70: the capability `ips` asks for one address of the range."""
    network = lab.network("70-reserved-addresses.conflist")
    with lab.attached(network, "c1", ips=["10.70.0.150/24"]) as attached:
        addresses = attached.addresses
    assert addresses == ["10.70.0.150"]


def test_reserved_range_refuses_an_address_outside(lab: Lab) -> None:
    """70: addresses below .100 are kept for machines without CNI."""
    network = lab.network("70-reserved-addresses.conflist")
    with (
        pytest.raises(PluginError, match=r"10\.70\.0\.50"),
        lab.attached(network, "c1", ips=["10.70.0.50"]),
    ):
        pass


def test_excluded_addresses_are_never_given(lab: Lab) -> None:
    """71: .2 and .4 to .7 are left out, so the first three are .3, .8 and .9."""
    network = lab.network("71-excluded-addresses.conflist")
    with (
        lab.attached(network, "c1") as first,
        lab.attached(network, "c2") as second,
        lab.attached(network, "c3") as third,
    ):
        given = [one.addresses[0] for one in (first, second, third)]
    assert given == ["10.71.0.3", "10.71.0.8", "10.71.0.9"]
