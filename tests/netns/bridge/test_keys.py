# SPDX-License-Identifier: Apache-2.0
"""bridge: what each key does, and what it refuses."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects, run
from netns.bridge.helpers import IPV4, addresses, conf, host_end, layer2, with_result
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


def test_layer2_leaves_the_interface_to_its_user(cni: Cni, container: Space) -> None:
    """Without addresses of ours duplicate detection stays as the kernel has it."""
    cni.ok("bridge", "ADD", layer2(), netns=container)
    read = container.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_dad")
    assert read.strip() == "1"


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


def group_fwd_mask(name: str) -> int:
    """Return which link-local frames a bridge forwards, as ip tells it."""
    (link,) = ip("-d", "link", "show", name)
    return int(str(link["linkinfo"]["info_data"]["group_fwd_mask"]), 0)


def test_link_local_frames_are_forwarded(cni: Cni, host: Host) -> None:
    """groupFwdMask is set on the bridge, CHECK sees it, and DEL leaves it."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(), netns=one)
    assert group_fwd_mask("br0") == 0
    wanted = conf(groupFwdMask=0x4000)
    result = cni.ok("bridge", "ADD", wanted, netns=two, container_id="c2")
    assert group_fwd_mask("br0") == 0x4000
    checked = with_result(wanted, result)
    cni.ok("bridge", "CHECK", checked, netns=two, container_id="c2")
    run("ip", "link", "set", "br0", "type", "bridge", "group_fwd_mask", "8")
    error = cni.refused("bridge", "CHECK", checked, netns=two, container_id="c2")
    assert error["msg"] == "check bridge br0: its group_fwd_mask is 0x8, not 0x4000"
    cni.ok("bridge", "ADD", wanted, netns=two, container_id="c2")
    assert group_fwd_mask("br0") == 0x4000
    cni.ok("bridge", "DEL", wanted, netns=two, container_id="c2")
    assert group_fwd_mask("br0") == 0x4000


def test_failed_add_restores_the_mask(cni: Cni, host: Host) -> None:
    """An ADD that fails behind the change has the bridge forward what it did before."""
    run("ip", "link", "add", "br0", "type", "bridge", "group_fwd_mask", "8")
    run("ip", "address", "add", "10.9.9.1/24", "dev", "br0")
    cni.refused("bridge", "ADD", conf(groupFwdMask=0x4000), netns=host.space())
    assert group_fwd_mask("br0") == 8


@pytest.mark.parametrize("mask", [-8, 1, 0x10000, "8", 1.5])
def test_bad_mask_of_link_local_frames(cni: Cni, container: Space, mask: Any) -> None:
    """What the kernel would refuse is code 7."""
    error = cni.refused("bridge", "ADD", conf(groupFwdMask=mask), netns=container)
    assert error["code"] == 7
    assert "groupFwdMask" in error["msg"]


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", ".", "a b"])
def test_bad_bridge_name(cni: Cni, container: Space, name: str) -> None:
    """A name that no link can have is code 7."""
    error = cni.refused("bridge", "ADD", conf(bridge=name), netns=container)
    assert error["code"] == 7
    assert error["msg"].startswith("parse bridge: ")


@pytest.mark.parametrize("name", ["lan", "the-lan-of-the-first-floor"])
def test_bridge_by_another_name(cni: Cni, container: Space, name: str) -> None:
    """A bridge is found by an alternative name, and known by its own from there on."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "property", "add", "dev", "br0", "altname", name)
    wanted = conf(bridge=name)
    cni.ok("bridge", "STATUS", wanted)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    assert result["interfaces"][0]["name"] == "br0"
    assert addresses("br0") == ["10.1.2.1/24"]
    assert run("sysctl", "-n", "net.ipv6.conf.br0.accept_ra").strip() == "0"
    (record,) = Path("/run/cni/cnipy/bridge/net").iterdir()
    assert f'"name": "{name}"' not in record.read_text()
    locks = {lock.name for lock in Path("/run/cni/cnipy/locks").iterdir()}
    assert "bridge-br0" in locks
    assert f"bridge-{name}" not in locks
    cni.ok("bridge", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("bridge", "DEL", wanted, netns=container)


@pytest.mark.parametrize("verb", ["ADD", "STATUS"])
def test_name_that_is_too_long_for_a_new_bridge(
    cni: Cni, container: Space, verb: str
) -> None:
    """A long name that no link has by now is code 7, also on STATUS."""
    wanted = conf(bridge="the-lan-of-the-first-floor")
    netns = container if verb == "ADD" else ""
    error = cni.refused("bridge", verb, wanted, netns=netns)
    assert error["code"] == 7
    assert error["msg"].startswith("parse bridge: interface name is too long")


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


def test_disabled_container_interface(cni: Cni, container: Space) -> None:
    """disableContainerInterface leaves the container's end down."""
    wanted = layer2(disableContainerInterface=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    assert "UP" not in container.ip("link", "show", "eth0")[0]["flags"]


def test_new_bridge_has_its_address_before_a_carrier(
    cni: Cni, container: Space
) -> None:
    """A bridge whose only port is down has the link-local address of its MAC."""
    wanted = layer2(disableContainerInterface=True)
    cni.ok("bridge", "ADD", wanted, netns=container)
    (shown,) = ip("addr", "show", "br0")
    octets = [int(octet, 16) for octet in shown["address"].split(":")]
    octets[0] ^= 2
    words = bytes([*octets[:3], 0xFF, 0xFE, *octets[3:]])
    expected = ip_address(b"\xfe\x80" + bytes(6) + words)
    (held,) = shown["addr_info"]
    assert "NO-CARRIER" in shown["flags"]
    assert (held["local"], held["prefixlen"]) == (str(expected), 64)
    assert "tentative" not in held
    # The kernel is content with it when the carrier comes.
    container.run("ip", "link", "set", "eth0", "up")
    cni.ok("bridge", "ADD", layer2(), netns=container, ifname="eth1")
    assert len(ip("-6", "addr", "show", "br0")[0]["addr_info"]) == 1


def test_disabled_container_interface_without_ipv6(cni: Cni, container: Space) -> None:
    """Where the host has IPv6 off, a bridge without a carrier has no address."""
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    cni.ok("bridge", "ADD", layer2(disableContainerInterface=True), netns=container)
    assert ip("addr", "show", "br0")[0]["addr_info"] == []


def test_disabled_container_interface_takes_no_ipam(cni: Cni, container: Space) -> None:
    """disableContainerInterface with ipam is code 7."""
    wanted = conf(disableContainerInterface=True)
    error = cni.refused("bridge", "ADD", wanted, netns=container)
    assert error["code"] == 7
    assert error["msg"] == (
        "parse ipam: cannot use IPAM when DisableContainerInterface flag is set"
    )


def test_unknown_cni_args_are_refused(cni: Cni, container: Space) -> None:
    """An unknown key in CNI_ARGS is code 4 on ADD unless IgnoreUnknown is set."""
    error = cni.refused("bridge", "ADD", conf(), netns=container, args="X=1")
    assert error["code"] == 4
    cni.ok("bridge", "ADD", conf(), netns=container, args="IgnoreUnknown=1;X=1")


def test_bridge_of_the_administrator_keeps_its_mtu(cni: Cni, container: Space) -> None:
    """A bridge that was there keeps its MTU."""
    run("ip", "link", "add", "br0", "mtu", "1500", "type", "bridge")
    run("ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1")
    run("ip", "link", "set", "p0", "master", "br0", "up")
    cni.ok("bridge", "ADD", conf(mtu=9000), netns=container)
    assert ip("link", "show", "br0")[0]["mtu"] == 1500


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


def test_bridge_that_is_none_is_untouched(cni: Cni, container: Space) -> None:
    """A link of the bridge's name that is no bridge is an error, and it stays."""
    run("ip", "link", "add", "br0", "type", "veth", "peer", "name", "br1")
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(), netns=container)
    assert error["msg"] == 'use bridge br0: "br0" already exists but is not a bridge'
    assert picture(container) == before


def test_netns_that_is_none_leaves_nothing(cni: Cni, host: Host) -> None:
    """A CNI_NETNS that does not exist is code 8, and no bridge is made."""
    before = picture()
    error = cni.refused("bridge", "ADD", conf(), netns="/run/netns/absent")
    assert error["code"] == 8
    assert picture(*host.spaces) == before


def test_own_netns_is_refused_first(cni: Cni, host: Host) -> None:
    """The plugin's own namespace as CNI_NETNS is code 8, and nothing is made."""
    before = picture()
    error = cni.refused("bridge", "ADD", conf(), netns="/proc/thread-self/ns/net")
    assert error["code"] == 8
    assert picture(*host.spaces) == before
