# SPDX-License-Identifier: Apache-2.0
"""host-device: ADD, DEL, CHECK, GC and STATUS, by kernel state and real traffic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import held, with_result
from netns.host_device.helpers import MAC, conf, device, on_host, wired
from netns.macvlan.helpers import names, shown
from pictures import files, picture

if TYPE_CHECKING:
    from lab import Cni, Host, Space


@pytest.fixture
def wire(host: Host) -> Space:
    """What is at the other end of the host's device ens5."""
    return wired(host)


def test_add_moves_the_device_in(cni: Cni, wire: Space, container: Space) -> None:
    """ADD gives the device its new name, addresses and routes, and it works."""
    result = cni.ok("host-device", "ADD", conf(), netns=container)
    assert result == {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "eth0", "mac": MAC, "mtu": 1450, "sandbox": container.path}
        ],
        "ips": [
            {"address": "198.51.100.100/24", "gateway": "198.51.100.1", "interface": 0}
        ],
        "routes": [{"dst": "192.0.2.0/24", "gw": "198.51.100.2", "mtu": 1300}],
    }
    link = shown(container)
    assert (link["address"], link["ifalias"]) == (MAC, "ens5")
    assert "UP" in link["flags"]
    assert held(container) == ["198.51.100.100/24"]
    assert on_host() == ["lo"]
    (route,) = container.ip("route", "show", "192.0.2.0/24")
    assert route["metrics"] == [{"mtu": 1300}]
    assert wire.reaches("198.51.100.100")


@pytest.mark.parametrize("keys", [{}, {"ipam": None}, {"ifname": "ens5"}])
def test_delete_brings_the_device_back(
    cni: Cni, wire: Space, container: Space, keys: dict[str, Any]
) -> None:
    """DEL leaves the device as it was, whatever happened to it; twice is once."""
    keys = dict(keys)
    ifname = keys.pop("ifname", "eth0")
    before = picture(container, wire)
    options = {"netns": container, "ifname": ifname}
    result = cni.ok("host-device", "ADD", conf(**keys), **options)
    change = ("ip", "link", "set", ifname, "mtu", "1400", "promisc", "off")
    container.run(*change, "address", "02:00:00:00:09:09")
    for _ in range(2):
        stored = with_result(conf(**keys), result)
        cni.ok("host-device", "DEL", stored, **options)
        assert picture(container, wire) == before


def test_device_that_is_down_stays_down(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A device that was down on the host is down there after DEL."""
    run("ip", "link", "set", "ens5", "down", "alias", "")
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    assert "UP" in shown(container)["flags"]
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


@pytest.mark.parametrize("netns", ["", "/run/netns/never"])
def test_delete_finds_a_living_namespace_by_the_record(
    cni: Cni, wire: Space, container: Space, netns: str
) -> None:
    """DEL with another CNI_NETNS than ADD's brings the device back all the same."""
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    cni.ok("host-device", "DEL", conf(), netns=netns)
    assert picture(container, wire) == before


@pytest.mark.parametrize(
    "changed",
    [
        {"ipam": None, "device": None},
        {"device": "other", "hwaddr": 7},
        {"device": None, "pciBusID": "nonsense", "ipam": {"type": "absent"}},
        {"runtimeConfig": {"deviceID": "0000:ff:ff.7"}},
    ],
)
def test_delete_works_with_another_configuration(
    cni: Cni, wire: Space, container: Space, changed: dict[str, Any]
) -> None:
    """Whatever the configuration says by now, DEL takes back what ADD did."""
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    cni.ok("host-device", "DEL", conf(**changed), netns=container)
    assert picture(container, wire) == before


@pytest.mark.parametrize("name", ["eth0", "dev", "ens5"])
def test_device_that_the_kernel_brought_back_gets_its_name(
    cni: Cni, wire: Space, container: Space, name: str
) -> None:
    """Hardware comes back from a dead namespace by another name; DEL mends that.

    Moved by hand here: the kernel does so only into the initial namespace.
    """
    before = picture(wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    index = shown(container)["ifindex"]
    name = f"dev{index}" if name == "dev" else name
    container.run("ip", "link", "set", "eth0", "down")
    container.run("ip", "link", "set", "eth0", "name", name)
    container.run("ip", "link", "set", name, "netns", str(os.getpid()))
    container.delete()
    assert name in on_host()
    cni.ok("host-device", "DEL", conf(), netns=container.path)
    assert picture(wire) == before


def test_returned_device_whose_name_is_taken_keeps_the_kernels(
    cni: Cni, wire: Space, container: Space, tmp_path: Any
) -> None:
    """DEL frees the rest, leaves both links alone and logs that the name is taken."""
    del wire
    log = tmp_path / "log"
    cni.ok("host-device", "ADD", conf(), netns=container)
    container.run("ip", "link", "set", "eth0", "netns", str(os.getpid()))
    container.delete()
    run("ip", "link", "add", "ens5", "type", "bridge")
    wanted = conf(logFile=str(log))
    cni.ok("host-device", "DEL", wanted, netns=container.path)
    assert {"eth0", "ens5"} <= set(on_host())
    assert "rename link eth0 to ens5: the name is taken" in log.read_text()
    assert files() == {}


def test_name_that_is_taken_on_the_host_stops_delete(
    cni: Cni, wire: Space, container: Space
) -> None:
    """While another link has its name the device stays, working; a retry works."""
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    run("ip", "link", "add", "ens5", "type", "bridge")
    error = cni.refused("host-device", "DEL", conf(), netns=container)
    assert error["code"] == 999
    assert error["msg"] == "move link eth0 to the host as ens5: the name is taken"
    assert names(container) == ["lo", "eth0"]
    assert "UP" in shown(container)["flags"]
    run("ip", "link", "del", "ens5")
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


def test_two_devices_that_swap_their_names(
    cni: Cni, host: Host, container: Space
) -> None:
    """Each device may have the other one's name inside, and finds its own again."""
    wires = wired(host), wired(host, "ens6", 3)
    before = picture(container, *wires)
    none = {"netns": container}
    one, two = conf(ipam=None), conf(ipam=None, device="ens6")
    cni.ok("host-device", "ADD", one, ifname="ens6", **none)
    cni.ok("host-device", "ADD", two, ifname="ens5", **none)
    aliases = [shown(container, name)["ifalias"] for name in ("ens5", "ens6")]
    assert aliases == ["ens6", "ens5"]
    cni.ok("host-device", "DEL", one, ifname="ens6", **none)
    cni.ok("host-device", "DEL", two, ifname="ens5", **none)
    assert picture(container, *wires) == before


def test_name_of_the_host_may_be_in_use_in_the_container(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A link of the container that has the device's name on the host is no obstacle."""
    container.run("ip", "link", "add", "ens5", "index", "77", "type", "bridge")
    before = picture(container, wire)
    cni.ok("host-device", "ADD", conf(), netns=container)
    assert names(container) == ["lo", "eth0", "ens5"]
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


def test_delete_without_a_record_brings_back_by_the_alias(
    cni: Cni, wire: Space, container: Space
) -> None:
    """What the reference moved in has its old name as alias, and gets it again."""
    del wire
    run("ip", "link", "set", "ens5", "netns", container.name)
    container.run("ip", "link", "set", "ens5", "name", "eth0", "alias", "ens5")
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert "ens5" in on_host()
    assert "ifalias" not in device()


@pytest.mark.parametrize("alias", ["", "cni net web eth0", "../ens5", "a" * 16])
def test_delete_without_a_record_leaves_what_no_loan_is(
    cni: Cni, wire: Space, container: Space, alias: str
) -> None:
    """A link whose alias is no name of a link was not lent, and stays."""
    run("ip", "link", "set", "ens5", "netns", container.name)
    container.run("ip", "link", "set", "ens5", "name", "eth0", "alias", alias)
    before = picture(container, wire)
    cni.ok("host-device", "DEL", conf(), netns=container)
    assert picture(container, wire) == before


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("ip link set eth0 down", "check interface eth0: it is down"),
        ("ip addr del 198.51.100.100/24 dev eth0", "it lacks 198.51.100.100/24"),
        ("ip route del 192.0.2.0/24", "it lacks the route 192.0.2.0/24"),
        ("ip link set eth0 address 02:00:00:00:00:09", "its MAC is 02:00:00:00:00:09"),
        ("ip link set eth0 alias other", "its alias is 'other', not 'ens5'"),
        ("ip link del eth0", "check interface eth0: it does not exist"),
    ],
)
def test_check_names_what_is_missing(
    cni: Cni, wire: Space, container: Space, harm: str, words: str
) -> None:
    """CHECK raises code 999 and names the first thing that is not as ADD left it."""
    del wire
    result = cni.ok("host-device", "ADD", conf(), netns=container)
    container.run("sh", "-c", harm)
    stored = with_result(conf(), result)
    error = cni.refused("host-device", "CHECK", stored, netns=container)
    assert error["code"] == 999
    assert words in error["msg"]


def test_status_wants_the_device_on_the_host(
    cni: Cni, wire: Space, container: Space
) -> None:
    """STATUS succeeds while the device can be lent, and is code 50 when it is."""
    del wire
    cni.ok("host-device", "STATUS", conf())
    cni.ok("host-device", "ADD", conf(), netns=container)
    error = cni.refused("host-device", "STATUS", conf())
    assert (error["code"], error["msg"]) == (50, "find device ens5: no such device")


def test_status_does_not_ask_which_device_a_runtime_will_name(
    cni: Cni, host: Host
) -> None:
    """With the capability deviceID alone, STATUS asks the IPAM plugin only."""
    del host
    wanted = conf(device=None, capabilities={"deviceID": True})
    cni.ok("host-device", "STATUS", wanted)
    error = cni.refused("host-device", "STATUS", conf(device=None))
    assert error["code"] == 7


@pytest.mark.parametrize("hwaddr", [MAC, MAC.upper(), MAC.replace(":", "-")])
def test_device_is_found_by_its_mac(
    cni: Cni, wire: Space, container: Space, hwaddr: str
) -> None:
    """hwaddr names the device in any of the usual notations."""
    del wire
    wanted = conf(device=None, hwaddr=hwaddr)
    cni.ok("host-device", "ADD", wanted, netns=container)
    assert shown(container)["ifalias"] == "ens5"


def test_mac_of_two_devices_is_ambiguous(
    cni: Cni, host: Host, container: Space
) -> None:
    """Where two links have the MAC, ADD names them and moves none."""
    wires = wired(host), wired(host, "ens6", 3)
    before = picture(container, *wires)
    wanted = conf(device=None, hwaddr=MAC)
    error = cni.refused("host-device", "ADD", wanted, netns=container)
    assert error["msg"] == f"find device {MAC}: ens5, ens6 have it"
    assert picture(container, *wires) == before
    assert [x["ifname"] for x in ip("link", "show")] == ["lo", "ens5", "ens6"]


@pytest.mark.parametrize("name", ["rack-port-5", "enx" + "a" * 124])
def test_device_may_be_named_by_an_alternative_name(
    cni: Cni, wire: Space, container: Space, name: str
) -> None:
    """An alternative name leads to the device, which comes back with both names."""
    run("ip", "link", "property", "add", "dev", "ens5", "altname", name)
    before = picture(container, wire)
    wanted = conf(device=name)
    cni.ok("host-device", "STATUS", wanted)
    result = cni.ok("host-device", "ADD", wanted, netns=container)
    assert shown(container)["ifalias"] == "ens5"
    cni.ok("host-device", "CHECK", with_result(wanted, result), netns=container)
    cni.ok("host-device", "DEL", wanted, netns=container)
    assert picture(container, wire) == before


def test_alternative_name_that_nobody_has_is_no_device(
    cni: Cni, wire: Space, container: Space
) -> None:
    """A long name that no link has is told as any other."""
    del wire
    name = "enx" + "a" * 124
    error = cni.refused("host-device", "ADD", conf(device=name), netns=container)
    assert error["msg"] == f"find device {name}: no such device"
