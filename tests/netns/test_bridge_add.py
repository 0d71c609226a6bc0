# SPDX-License-Identifier: Apache-2.0
"""bridge: what an attachment has after ADD, key by key."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from bridged import DUAL, IPV4, addresses, conf, held, layer2
from lab import ip, nft_objects, reaches, run

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def host_end(result: dict[str, Any]) -> dict[str, Any]:
    """Return the host's end of the attachment, as ip shows it."""
    (shown,) = ip("link", "show", result["interfaces"][1]["name"])
    return dict(shown)


def sysfs(link: str, attribute: str, space: Space | None = None) -> str:
    """Return an attribute of a link from a sysfs of its namespace."""
    read = f"cat /sys/class/net/{link}/{attribute}"
    if space:  # ip netns exec mounts one
        return space.run("sh", "-c", read).strip()
    mounted = f"mount -t sysfs sysfs /sys && {read}"
    return run("unshare", "-m", "sh", "-c", mounted).strip()


def test_add_gives_address_route_and_result(cni: Cni, container: Space) -> None:
    """After ADD the container has its address and default route, as the result says."""
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    (end,) = container.ip("link", "show", "eth0")
    (bridge,) = ip("link", "show", "br0")
    port = host_end(result)
    assert held(container) == ["10.1.2.2/24"]
    assert container.ip("route", "show", "default")[0]["gateway"] == "10.1.2.1"
    assert port["master"] == "br0"
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": bridge["address"], "mtu": 1500},
            {"name": port["ifname"], "mac": port["address"], "mtu": 1500},
            {
                "name": "eth0",
                "mac": end["address"],
                "mtu": 1500,
                "sandbox": container.path,
            },
        ],
        "ips": [{"address": "10.1.2.2/24", "gateway": "10.1.2.1", "interface": 2}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_result_has_the_shape_of_its_version(
    cni: Cni, container: Space, version: str
) -> None:
    """ips carry `version` before 1.0.0, interfaces `mtu` from 1.1.0, dns is as old."""
    result = cni.ok("bridge", "ADD", conf(cniVersion=version), netns=container)
    assert result["cniVersion"] == version
    assert [i["name"] for i in result["interfaces"]][::2] == ["br0", "eth0"]
    assert ("mtu" in result["interfaces"][0]) == (version == "1.1.0")
    assert (result["ips"][0].get("version") == "4") == (version < "1.0.0")
    assert ("dns" in result) == (version < "1.0.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_result_of_the_first_versions(cni: Cni, container: Space, version: str) -> None:
    """0.1.0 and 0.2.0 have ip4 and ip6 with the routes of the family."""
    result = cni.ok(
        "bridge", "ADD", conf(cniVersion=version, ipam=DUAL), netns=container
    )
    assert result == {
        "cniVersion": version,
        "ip4": {
            "ip": "10.1.2.2/24",
            "gateway": "10.1.2.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "ip6": {
            "ip": "fd00:1::2/64",
            "gateway": "fd00:1::1",
            "routes": [{"dst": "::/0"}],
        },
        "dns": {},
    }


def test_layer2_in_a_version_that_cannot_say_it(cni: Cni, container: Space) -> None:
    """Without addresses 0.2.0 is refused before anything is made."""
    error = cni.refused("bridge", "ADD", layer2(cniVersion="0.2.0"), netns=container)
    assert error["code"] == 7
    assert error["msg"] == "parse ipam: a result of 0.2.0 needs an IP address"
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_containers_reach_each_other_and_the_host(cni: Cni, host: Host) -> None:
    """Two containers and the host reach each other at once, IPv4 and IPv6."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=one, container_id="one")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=two, container_id="two")
    assert one.reaches("10.1.2.3")
    assert one.reaches("fd00:1::3")
    assert reaches("10.1.2.2")
    assert reaches("fd00:1::2")


def test_ipv6_only(cni: Cni, container: Space) -> None:
    """A network of IPv6 alone gives an address, a default route and a gateway."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]]}
    wanted = conf(ipam=ipam, isDefaultGateway=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert held(container) == ["fd00:1::2/64"]
    assert container.ip("-6", "route", "show", "default")[0]["gateway"] == "fd00:1::1"
    assert addresses("br0") == ["fd00:1::1/64"]
    assert container.reaches("fd00:1::1")


def test_no_address_is_tentative(cni: Cni, container: Space) -> None:
    """On return no address of the container waits for duplicate detection."""
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=container)
    (shown,) = container.ip("addr", "show", "eth0")
    assert [a["local"] for a in shown["addr_info"] if a.get("tentative")] == []
    assert len(shown["addr_info"]) == 3


def test_ipv6_works_where_the_runtime_disabled_it(cni: Cni, container: Space) -> None:
    """disable_ipv6 in the container, on lo too, does not keep the address away."""
    for link in ("all", "default", "lo"):
        container.run("sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
    container.run("ip", "link", "set", "lo", "up")
    cni.ok("bridge", "ADD", conf(ipam=DUAL), netns=container)
    assert held(container) == ["10.1.2.2/24", "fd00:1::2/64"]
    assert container.reaches("fd00:1::1")
    assert container.reaches("fd00:1::2")


def test_mtu_is_that_of_bridge_and_both_ends(cni: Cni, container: Space) -> None:
    """mtu goes to a new bridge and to both ends, and stands in the result."""
    result = cni.ok("bridge", "ADD", conf(mtu=1400), netns=container)
    (bridge,) = ip("link", "show", "br0")
    (end,) = container.ip("link", "show", "eth0")
    assert (bridge["mtu"], host_end(result)["mtu"], end["mtu"]) == (1400, 1400, 1400)
    assert [i["mtu"] for i in result["interfaces"]] == [1400, 1400, 1400]


@pytest.mark.parametrize(
    ("mtu", "code"), [(-1, 7), (65536, 7), ("1500", 7), (1500.5, 7), (20, 999)]
)
def test_bad_mtu(cni: Cni, container: Space, mtu: Any, code: int) -> None:
    """An MTU that is none is code 7, one too small for a veth is the kernel's no."""
    error = cni.refused("bridge", "ADD", conf(mtu=mtu), netns=container)
    assert error["code"] == code
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_bridge_has_the_default_name(cni: Cni, container: Space) -> None:
    """Without the key the bridge is called cni0."""
    cni.ok("bridge", "ADD", conf(bridge=None), netns=container)
    assert ip("link", "show", "cni0")[0]["linkinfo"]["info_kind"] == "bridge"


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", ".", "a b"])
def test_bad_bridge_name(cni: Cni, container: Space, name: str) -> None:
    """A name that no link can have is code 7."""
    error = cni.refused("bridge", "ADD", conf(bridge=name), netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("parse bridge: ")


def test_hairpin_mode(cni: Cni, container: Space) -> None:
    """hairpinMode is a flag of the port."""
    result = cni.ok("bridge", "ADD", conf(hairpinMode=True), netns=container)
    assert host_end(result)["linkinfo"]["info_slave_data"]["hairpin"] is True


def test_promisc_mode(cni: Cni, container: Space) -> None:
    """promiscMode is a flag of the bridge."""
    cni.ok("bridge", "ADD", conf(promiscMode=True), netns=container)
    assert "PROMISC" in ip("link", "show", "br0")[0]["flags"]


def test_hairpin_and_promisc_exclude_each_other(cni: Cni, container: Space) -> None:
    """Both at the same time are code 7."""
    wanted = conf(hairpinMode=True, promiscMode=True)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"] == (
        "parse hairpinMode: cannot set hairpin mode and promiscuous mode"
        " at the same time"
    )


def test_isolated_ports_reach_the_gateway_only(cni: Cni, host: Host) -> None:
    """With portIsolation two containers reach the host, and not each other."""
    one, two = host.space(), host.space()
    for name, space in (("one", one), ("two", two)):
        wanted = conf(portIsolation=True)
        cni.ok("bridge", "ADD", wanted, netns=space, container_id=name)
    assert one.reaches("10.1.2.1")
    assert not one.reaches("10.1.2.3")


def test_layer2_carries_frames(cni: Cni, host: Host) -> None:
    """Without ipam the ends are up, have no address, and reach each other's frames."""
    one, two = host.space(), host.space()
    for name, space, address in (("one", one, "2"), ("two", two, "3")):
        result = cni.ok("bridge", "ADD", layer2(), netns=space, container_id=name)
        assert "ips" not in result
        assert held(space) == []
        space.run("ip", "addr", "add", f"10.5.5.{address}/24", "dev", "eth0")
    assert one.reaches("10.5.5.3")
    assert addresses("br0") == []


def test_disabled_container_interface(cni: Cni, container: Space) -> None:
    """disableContainerInterface leaves the container's end down."""
    wanted = layer2(disableContainerInterface=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert "UP" not in container.ip("link", "show", "eth0")[0]["flags"]


def test_disabled_container_interface_takes_no_ipam(cni: Cni, container: Space) -> None:
    """disableContainerInterface with ipam is code 7."""
    wanted = conf(disableContainerInterface=True)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"] == (
        "parse ipam: cannot use IPAM when DisableContainerInterface flag is set"
    )


MACS = {
    "runtimeConfig": {"mac": "02:00:00:00:00:01"},
    "args": {"cni": {"mac": "02:00:00:00:00:02"}},
}


@pytest.mark.parametrize(
    ("keys", "cni_args", "expected"),
    [
        (MACS, "MAC=02:00:00:00:00:03", "02:00:00:00:00:01"),
        ({"args": MACS["args"]}, "MAC=02:00:00:00:00:03", "02:00:00:00:00:02"),
        ({}, "MAC=02-00-00-00-00-03", "02:00:00:00:00:03"),
        ({"runtimeConfig": {"MAC": "0200.0000.000A"}}, "", "02:00:00:00:00:0a"),
        ({"runtimeConfig": {"mac": ""}}, "MAC=02:00:00:00:00:03", "02:00:00:00:00:03"),
    ],
)
def test_mac_that_was_asked_for(
    cni: Cni, container: Space, keys: dict[str, Any], cni_args: str, expected: str
) -> None:
    """runtimeConfig.mac comes before args.cni.mac, which comes before CNI_ARGS."""
    result = cni.ok("bridge", "ADD", conf(**keys), netns=container, args=cni_args)
    assert container.ip("link", "show", "eth0")[0]["address"] == expected
    assert result["interfaces"][2]["mac"] == expected


@pytest.mark.parametrize(
    "mac", ["x", "02:00:00:00:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", 5]
)
def test_bad_mac(cni: Cni, container: Space, mac: Any) -> None:
    """What is no MAC, or none that a link may have, is code 7 and makes nothing."""
    wanted = conf(runtimeConfig={"mac": mac})
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("parse runtimeConfig.mac: ")
    assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_unknown_cni_args_are_refused(cni: Cni, container: Space) -> None:
    """An unknown key in CNI_ARGS is code 4 on ADD unless IgnoreUnknown is set."""
    error = cni.refused("bridge", "ADD", conf(), netns=container, args="X=1")
    assert error["code"] == 4
    cni.ok("bridge", "ADD", conf(), netns=container, args="IgnoreUnknown=1;X=1")


def test_names_and_macs_are_final(cni: Cni, container: Space) -> None:
    """Every MAC counts as set (addr_assign_type 3), so that udev leaves it alone."""
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    assert sysfs("br0", "addr_assign_type") == "3"
    assert sysfs(host_end(result)["ifname"], "addr_assign_type") == "3"
    assert sysfs("eth0", "addr_assign_type", container) == "3"


def test_bridge_keeps_its_mac(cni: Cni, host: Host) -> None:
    """The bridge's MAC stays while ports come and go."""
    seen = set()
    for name in ("one", "two", "three"):
        space = host.space()
        cni.ok("bridge", "ADD", conf(), netns=space, container_id=name)
        seen.add(ip("link", "show", "br0")[0]["address"])
    for name in ("two", "one", "three"):
        cni.ok("bridge", "DEL", conf(), container_id=name)
        seen.add(ip("link", "show", "br0")[0]["address"])
    assert len(seen) == 1


def test_bridge_of_the_administrator_keeps_its_mac_too(cni: Cni, host: Host) -> None:
    """A bridge that was there has its MAC pinned once it is a gateway."""
    run("ip", "link", "add", "br0", "type", "bridge")
    one, two = host.space(), host.space()
    result = cni.ok("bridge", "ADD", conf(), netns=one, container_id="one")
    first = ip("link", "show", "br0")[0]["address"]
    assert result["interfaces"][0]["mac"] == first
    cni.ok("bridge", "ADD", conf(), netns=two, container_id="two")
    cni.ok("bridge", "DEL", conf(), netns=one, container_id="one")
    assert ip("link", "show", "br0")[0]["address"] == first


def test_bridge_of_the_administrator_keeps_mtu_and_accept_ra(
    cni: Cni, container: Space
) -> None:
    """A bridge that was there keeps its MTU and listens to routers as before."""
    run("ip", "link", "add", "br0", "mtu", "1500", "type", "bridge")
    run("ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1")
    run("ip", "link", "set", "p0", "master", "br0", "up")
    run("sysctl", "-qw", "net.ipv6.conf.br0.accept_ra=1")
    cni.ok("bridge", "ADD", conf(mtu=9000), netns=container)
    assert ip("link", "show", "br0")[0]["mtu"] == 1500
    assert run("sysctl", "-n", "net.ipv6.conf.br0.accept_ra").strip() == "1"


def test_bridge_with_stp_is_no_obstacle(cni: Cni, container: Space) -> None:
    """A port of a bridge with STP listens for half a minute: ADD does not wait."""
    run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "1")
    result = cni.ok("bridge", "ADD", conf(), netns=container)
    state = host_end(result)["linkinfo"]["info_slave_data"]["state"]
    assert state in {"listening", "learning"}


def test_neighbours_learn_who_has_an_address_now(cni: Cni, host: Host) -> None:
    """An address that changes hands is reached at once, in spite of ARP caches."""
    neighbour, old, new = host.space(), host.space(), host.space()
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]],
    }
    fixed = conf(ipam=ipam, runtimeConfig={"ips": ["10.1.2.9", "fd00:1::9"]})
    cni.ok("bridge", "ADD", conf(ipam=ipam), netns=neighbour, container_id="n")
    cni.ok("bridge", "ADD", fixed, netns=old, container_id="old")
    for address in ("10.1.2.9", "fd00:1::9"):
        assert neighbour.reaches(address)
        assert reaches(address)
    cni.ok("bridge", "DEL", fixed, netns=old, container_id="old")
    cni.ok("bridge", "ADD", fixed, netns=new, container_id="new")
    for address in ("10.1.2.9", "fd00:1::9"):
        assert neighbour.reaches(address)
        assert reaches(address)


def forged(space: Space, source: str, target: str) -> bool:
    """Send a frame from the MAC `source` and tell whether `target` on the host
    has seen it.
    """
    frame = bytes.fromhex("ff" * 6 + source.replace(":", "") + "88b5") + b"forged" * 9
    kind = socket.ntohs(0x88B5)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, kind) as listener:
        listener.bind((target, 0x88B5))
        listener.settimeout(0.5)
        with space.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with sender:
            sender.bind(("eth0", 0))
            sender.send(frame)
        try:
            return b"forged" in listener.recv(2000)
        except TimeoutError:
            return False


def test_forged_frames_are_dropped(cni: Cni, host: Host) -> None:
    """With macspoofchk a frame from another MAC does not pass the port, own ones do."""
    one, two = host.space(), host.space()
    wanted = layer2(macspoofchk=True)
    first = cni.ok("bridge", "ADD", wanted, netns=one, container_id="one")
    other = cni.ok("bridge", "ADD", layer2(), netns=two, container_id="two")
    target = "br0"
    own, foreign = (r["interfaces"][2]["mac"] for r in (first, other))
    assert forged(one, own, target)
    assert not forged(one, foreign, target)
    assert not forged(one, "02:00:00:00:00:99", target)
    assert forged(two, "02:00:00:00:00:99", target)


def test_duplicate_address_is_noticed(cni: Cni, host: Host) -> None:
    """With enabledad an IPv6 address that somebody else has makes ADD fail."""
    twin, container = host.space(), host.space()
    cni.ok("bridge", "ADD", layer2(), netns=twin, container_id="twin")
    twin.run("ip", "addr", "add", "fd00:1::2/64", "dev", "eth0", "nodad")
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:1::/64"}]]}
    wanted = conf(enabledad=True, ipam=ipam)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["msg"] == "use address fd00:1::2/64: another host has it"
    assert [link["ifname"] for link in container.ip("link", "show")] == ["lo"]


def test_duplicate_detection_ends_before_add_does(cni: Cni, container: Space) -> None:
    """With enabledad and no duplicate the addresses are usable on return."""
    cni.ok("bridge", "ADD", conf(enabledad=True, ipam=DUAL), netns=container)
    assert held(container) == ["10.1.2.2/24", "fd00:1::2/64"]
    read = container.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_dad")
    assert read.strip() == "1"


GIVEN = {"nameservers": ["192.0.2.53"], "domain": "example.org"}


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        (None, {"nameservers": ["9.9.9.9"]}),
        (GIVEN, GIVEN),
        ({"search": []}, None),
        ({}, {"nameservers": ["9.9.9.9"]}),
    ],
)
def test_dns_replaces_that_of_ipam(
    cni: Cni, container: Space, tmp_path: Any, dns: Any, expected: Any
) -> None:
    """dns wins as a whole over the IPAM plugin's, be it by an empty list."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 9.9.9.9\n")
    wanted = conf(dns=dns, ipam={**IPV4, "resolvConf": str(resolv)})
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    assert result.get("dns") == expected


def test_keys_match_without_regard_to_case(cni: Cni, container: Space) -> None:
    """Keys are matched as Go matches them, and null is absence."""
    wanted = conf(isGateway=None, ISGATEWAY=True, MTU=1400, vlan=None, hairpinMode=None)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert addresses("br0") == ["10.1.2.1/24"]
    assert ip("link", "show", "br0")[0]["mtu"] == 1400


@pytest.mark.parametrize(
    ("key", "value"), [("isGateway", "true"), ("mtu", "1500"), ("vlanTrunk", {})]
)
def test_wrong_types_are_refused(
    cni: Cni, container: Space, key: str, value: Any
) -> None:
    """A value of the wrong type is code 7 and names the key."""
    error = cni.refused("bridge", "ADD", conf(**{key: value}), netns=container)
    assert error["code"] == 7
    assert f"parse network configuration: {key}: " in error["msg"]
    assert nft_objects("ruleset") == []
