# SPDX-License-Identifier: Apache-2.0
"""tuning: ADD sets what is asked for, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from lab import Cni, Host, Space, ip, need, run
from netns.tuning.helpers import (
    ARP_FILTER,
    BACKUPS,
    EVERYTHING,
    MAC,
    RECORDS,
    conf,
    link,
    notes,
    parameter,
    with_link,
)

from cni_common.spec.versions import SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tuned(container: Space) -> Iterator[Space]:
    """A container with eth0, and no backup of an earlier test."""
    shutil.rmtree(BACKUPS, ignore_errors=True)
    yield with_link(container)
    shutil.rmtree(BACKUPS, ignore_errors=True)


def test_everything_is_set(cni: Cni, tuned: Space) -> None:
    """MAC, MTU, queue, flags and parameters are as asked for; the result says so."""
    wanted = conf(tuned, **EVERYTHING)
    result = cni.ok("tuning", "ADD", wanted, netns=tuned)
    shown = {key: value for key, value in EVERYTHING.items() if key != "sysctl"}
    assert link(tuned) == shown
    assert parameter(tuned, "net/ipv4/conf/eth0/arp_filter") == "1"
    assert parameter(tuned, "net/core/somaxconn") == "500"
    interfaces = wanted["prevResult"]["interfaces"]
    interfaces[2] |= {"mac": MAC, "mtu": 1400}
    assert result == wanted["prevResult"]
    cni.ok("tuning", "CHECK", wanted, netns=tuned)


def test_backup_has_the_keys_of_the_reference(cni: Cni, tuned: Space) -> None:
    """What the link was like lies where the reference's DEL looks, for root alone."""
    before = link(tuned)
    cni.ok("tuning", "ADD", conf(tuned, **EVERYTHING), netns=tuned)
    path = f"{BACKUPS}/c1_eth0.json"
    assert notes()[path] == before
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(BACKUPS).st_mode) == 0o700
    assert list(notes()) == [path, f"{RECORDS}/net/c1@eth0"]


@pytest.mark.parametrize("keys", [{}, {"sysctl": {}, "mac": "", "mtu": 0}])
def test_nothing_asked_for_is_nothing_done(
    cni: Cni, tuned: Space, keys: dict[str, Any]
) -> None:
    """Without a wish prevResult comes back as it was, and nothing is written down."""
    before = link(tuned)
    wanted = conf(tuned, **keys)
    result = cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    assert result == wanted["prevResult"]
    assert (link(tuned), notes()) == (before, {})
    cni.ok("tuning", "DEL", wanted, netns=tuned)


def test_what_is_so_already_is_not_written_down(cni: Cni, tuned: Space) -> None:
    """A wish that is fulfilled already leaves no record: nothing is to be undone."""
    wanted = conf(tuned, mtu=1500, mac=link(tuned)["mac"], promisc=False)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    assert notes() == {}


@pytest.mark.parametrize("version", SUPPORTED)
def test_result_has_the_version_of_the_configuration(
    cni: Cni, tuned: Space, version: str
) -> None:
    """The result has the shape of each version; the MTU is there from 1.1.0 on."""
    wanted = conf(tuned, cniVersion=version, mac=MAC, mtu=1400)
    interfaces = wanted["prevResult"]["interfaces"]
    address: dict[str, Any] = {"address": "10.0.0.2/24", "interface": 2}
    if version in {"0.3.0", "0.3.1", "0.4.0"}:
        address = {"version": "4", **address}
    wanted["prevResult"] |= {"ips": [address], "dns": {"domain": "x.test"}}
    if version in {"0.1.0", "0.2.0"}:
        only = {"cniVersion": version, "ip4": {"ip": "10.0.0.2/24"}, "dns": {}}
        wanted["prevResult"] = only
    result = cni.ok("tuning", "ADD", wanted, netns=tuned)
    interfaces[2] |= {"mac": MAC, **({"mtu": 1400} if version == "1.1.0" else {})}
    assert result == wanted["prevResult"]
    assert link(tuned)["mtu"] == 1400


MACS = {
    "args.cni": "02:00:00:00:00:a1",
    "runtimeConfig": "02:00:00:00:00:a2",
    "CNI_ARGS": "02:00:00:00:00:a3",
    "configuration": "02:00:00:00:00:a4",
}


@pytest.mark.parametrize("first", range(4))
def test_mac_comes_from_the_first_place(cni: Cni, tuned: Space, first: int) -> None:
    """args.cni comes before runtimeConfig, CNI_ARGS and the configuration's own key."""
    given = dict(list(MACS.items())[first:])
    keys: dict[str, Any] = {"mac": MACS["configuration"]}
    if "runtimeConfig" in given:
        keys["RuntimeConfig"] = {"Mac": MACS["runtimeConfig"]}
    if "args.cni" in given:
        keys["args"] = {"cni": {"mac": MACS["args.cni"].upper()}}
    args = (
        f"IgnoreUnknown=1;FOO=1;MAC={MACS['CNI_ARGS']}" if "CNI_ARGS" in given else ""
    )
    cni.ok("tuning", "ADD", conf(tuned, **keys), netns=tuned, args=args)
    assert link(tuned)["mac"] == next(iter(given.values()))


def test_args_come_before_the_configuration(cni: Cni, tuned: Space) -> None:
    """Each wish of args.cni replaces the configuration's; parameters one by one."""
    asked = {
        "mtu": 1300,
        "txQLen": 0,
        "promisc": False,
        "allmulti": False,
        "sysctl": {"net/core/somaxconn": "501"},
    }
    wanted = conf(tuned, **EVERYTHING, args={"cni": asked})
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    del asked["sysctl"]
    assert link(tuned) == {"mac": MAC, **asked}
    assert parameter(tuned, "net/core/somaxconn") == "501"
    assert parameter(tuned, "net/ipv4/conf/eth0/arp_filter") == "1"


def test_args_alone_may_have_parameters(cni: Cni, tuned: Space) -> None:
    """args.cni.sysctl without `sysctl` in the configuration works."""
    wanted = conf(tuned, args={"cni": {"sysctl": {ARP_FILTER: "1"}}})
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    assert parameter(tuned, "net/ipv4/conf/eth0/arp_filter") == "1"


def test_mtu_of_zero_in_args_takes_the_wish_back(cni: Cni, tuned: Space) -> None:
    """args.cni.mtu 0 means that the configuration's MTU is not to be set."""
    wanted = conf(tuned, mtu=1400, args={"cni": {"mtu": 0}})
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    assert link(tuned)["mtu"] == 1500


@pytest.mark.parametrize(
    "key",
    [
        ARP_FILTER,
        "net/ipv4/conf/IFNAME/arp_filter",
        "net.ipv4.conf.eth0/100.arp_filter",
        "net/ipv4/conf/eth0.100/arp_filter",
    ],
)
def test_interface_name_with_a_dot(cni: Cni, container: Space, key: str) -> None:
    """The parameter of eth0.100 is found under the placeholder and under its name."""
    with_link(container, "eth0.100")
    wanted = conf(container, "eth0.100", sysctl={key: "1"})
    options: dict[str, Any] = {"netns": container, "ifname": "eth0.100"}
    cni.ok("tuning", "ADD", wanted, **options)
    cni.ok("tuning", "CHECK", wanted, **options)
    assert parameter(container, "net/ipv4/conf/eth0.100/arp_filter") == "1"
    cni.ok("tuning", "DEL", wanted, **options)
    assert parameter(container, "net/ipv4/conf/eth0.100/arp_filter") == "0"


def test_placeholder_is_replaced_once(cni: Cni, container: Space) -> None:
    """An interface that is itself called IFNAME is found, and replaced no further."""
    with_link(container, "IFNAME")
    options: dict[str, Any] = {"netns": container, "ifname": "IFNAME"}
    cni.ok(
        "tuning", "ADD", conf(container, "IFNAME", sysctl={ARP_FILTER: "1"}), **options
    )
    assert parameter(container, "net/ipv4/conf/IFNAME/arp_filter") == "1"


def test_parameters_that_change_each_other(cni: Cni, tuned: Space) -> None:
    """A parameter of one link holds though that of all links is written after it."""
    sysctl = {
        "net.ipv6.conf.IFNAME.disable_ipv6": "0",
        "net.ipv6.conf.all.disable_ipv6": "1",
    }
    wanted = conf(tuned, sysctl=sysctl)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    assert parameter(tuned, "net/ipv6/conf/eth0/disable_ipv6") == "0"
    assert parameter(tuned, "net/ipv6/conf/lo/disable_ipv6") == "1"
    cni.ok("tuning", "DEL", wanted, netns=tuned)
    assert parameter(tuned, "net/ipv6/conf/eth0/disable_ipv6") == "0"
    assert parameter(tuned, "net/ipv6/conf/all/disable_ipv6") == "0"


def test_values_may_be_spaced_otherwise(cni: Cni, tuned: Space) -> None:
    """CHECK takes what the kernel shows with tabs for what was written with spaces."""
    sysctl = {
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.core.somaxconn": "0x200",
    }
    wanted = conf(tuned, sysctl=sysctl)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    assert parameter(tuned, "net/core/somaxconn") == "512"
    assert parameter(tuned, "net/ipv4/ping_group_range") == "0\t2147483647"


def test_parameter_that_nobody_can_read(cni: Cni, tuned: Space) -> None:
    """One for writing only, and one without a value yet, are written all the same."""
    secret = "2001:db8::1"
    sysctl = {
        "net.ipv4.route.flush": "1",
        "net.ipv6.conf.IFNAME.stable_secret": secret,
    }
    wanted = conf(tuned, sysctl=sysctl)
    cni.ok("tuning", "ADD", wanted, netns=tuned)
    cni.ok("tuning", "CHECK", wanted, netns=tuned)
    shown = parameter(tuned, "net/ipv6/conf/eth0/stable_secret")
    assert shown == "2001:0db8:0000:0000:0000:0000:0000:0001"
    cni.ok("tuning", "DEL", wanted, netns=tuned)


def test_neighbours_use_the_new_mac(cni: Cni, tuned: Space) -> None:
    """After ADD the node reaches the container, at the MAC that was asked for."""
    need("busybox")
    run("ip", "addr", "add", "10.3.0.1/24", "dev", "h0")
    tuned.run("ip", "addr", "add", "10.3.0.2/24", "dev", "eth0")
    assert tuned.reaches("10.3.0.1")
    cni.ok("tuning", "ADD", conf(tuned, mac=MAC, mtu=1400), netns=tuned)
    run("ip", "neigh", "flush", "all")
    assert tuned.reaches("10.3.0.1")
    (neighbour,) = ip("-4", "neigh", "show", "dev", "h0")
    assert neighbour["lladdr"] == MAC


def test_bridge_and_tuning_in_a_chain(cni: Cni, host: Host) -> None:
    """Behind bridge the container keeps its addresses and reaches its gateway."""
    need("busybox")
    space = host.space()
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.4.0.0/24"}]]}
    name = {"cniVersion": "1.1.0", "name": "net"}
    bridge = {
        **name,
        "type": "bridge",
        "bridge": "br0",
        "isGateway": True,
        "ipam": ipam,
    }
    previous = cni.ok("bridge", "ADD", bridge, netns=space)
    tuning = {**name, "type": "tuning", "prevResult": previous, "mac": MAC, "mtu": 1280}
    result = cni.ok("tuning", "ADD", tuning, netns=space)
    assert (
        result["interfaces"][2] | {"mac": MAC, "mtu": 1280} == result["interfaces"][2]
    )
    assert space.reaches("10.4.0.1")
    tuning["prevResult"] = bridge["prevResult"] = result
    cni.ok("tuning", "CHECK", tuning, netns=space)
    cni.ok("tuning", "DEL", tuning, netns=space)
    assert link(space)["mac"] == previous["interfaces"][2]["mac"]
    cni.ok("bridge", "DEL", bridge, netns=space)
    assert space.ip("link", "show", "type", "veth") == []
    assert notes() == {}


def test_many_at_once(cni: Cni, host: Host) -> None:
    """Containers that are attached and detached at the same time do not mix."""
    spaces = [with_link(host.space(), host=f"h{n}") for n in range(8)]
    before = [link(space) for space in spaces]
    assert all_at_once(cni, "ADD", spaces) == [0] * 8
    assert [link(space)["mtu"] for space in spaces] == [1300 + n for n in range(8)]
    assert len(notes()) == 16
    assert all_at_once(cni, "DEL", spaces) == [0] * 8
    assert ([link(space) for space in spaces], notes()) == (before, {})


def all_at_once(cni: Cni, command: str, spaces: list[Space]) -> list[int]:
    """Call for each container in a process of its own; return how they ended."""
    children = []
    for number, space in enumerate(spaces):
        child = os.fork()
        if child == 0:
            wanted = conf(space, mac=f"02:00:00:00:01:{number:02x}", mtu=1300 + number)
            name = f"c{number}"
            answer = cni("tuning", command, wanted, netns=space, container_id=name)
            os._exit(answer.status)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_repeated_add_follows_the_configuration(cni: Cni, tuned: Space) -> None:
    """A second ADD puts back what is not asked for now; DEL finds the beginning."""
    before = link(tuned)
    cni.ok("tuning", "ADD", conf(tuned, **EVERYTHING), netns=tuned)
    again = conf(tuned, mtu=1401, sysctl={"net.core.somaxconn": "501"})
    cni.ok("tuning", "ADD", again, netns=tuned)
    assert link(tuned) == before | {"mtu": 1401}
    assert parameter(tuned, "net/ipv4/conf/eth0/arp_filter") == "0"
    assert parameter(tuned, "net/core/somaxconn") == "501"
    cni.ok("tuning", "DEL", again, netns=tuned)
    assert (link(tuned), notes()) == (before, {})
    assert parameter(tuned, "net/core/somaxconn") == "4096"


def test_container_that_comes_back_in_a_new_namespace(cni: Cni, host: Host) -> None:
    """The record of a namespace that is gone does not reach into its successor."""
    first = with_link(host.space())
    cni.ok("tuning", "ADD", conf(first, **EVERYTHING), netns=first)
    first.delete()
    second = with_link(host.space(), host="h1")
    before = link(second)
    cni.ok("tuning", "ADD", conf(second), netns=second)
    assert (link(second), notes()) == (before, {})


def test_previous_record_in_json_is_readable(cni: Cni, tuned: Space) -> None:
    """The record says where, and what was before, in words of the configuration."""
    before = link(tuned)
    cni.ok("tuning", "ADD", conf(tuned, mtu=1400), netns=tuned)
    with open(f"{RECORDS}/net/c1@eth0") as file:
        record = json.load(file)
    (part,) = record["parts"]
    assert (record["netns"], part["dataDir"]) == (tuned.path, BACKUPS)
    assert (part["wanted"], part["before"]) == ({"mtu": 1400}, {"mtu": before["mtu"]})
