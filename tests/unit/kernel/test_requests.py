# SPDX-License-Identifier: Apache-2.0
"""What is written by hand is read by pyroute2, which knows the formats, as meant."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from cni_common.kernel import bridges, default_route, links, macvlans, routes
from cni_common.kernel.netlink import NetlinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.kernel.netlink import Change, Netlink

NAMESPACE: Any = SimpleNamespace(fd=7)
MASTER: Any = SimpleNamespace(index=5, name="master")
MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Sent:
    """A socket that keeps what is to be sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, int, int]] = []

    def act(self, *requests: tuple[Any, int, int]) -> None:
        """Take requests."""
        self.requests += requests

    def carry_out(self, *changes: Change) -> None:
        """Take changes."""
        self.requests += [change.request for change in changes]

    def get(self, message: Any, kind: int, answer: object) -> None:
        """Take a question, and have no answer."""
        del answer
        self.requests.append((message, kind, 0))
        raise NetlinkError(errno.ENETUNREACH, "no answer")


def plain(value: Any) -> Any:
    """Return what pyroute2 has decoded as dictionaries of what is not nothing."""
    if not isinstance(value, dict) or "attrs" not in value:
        return value
    found = {
        key: content for key, content in value.items() if content and key != "attrs"
    }
    return found | {key: plain(content) for key, content in value["attrs"]}


def sent(kind: type[Any], call: Callable[..., object], *args: Any, **given: Any) -> Any:
    """Return the first request of a `call`, and its flags, as pyroute2 reads it."""
    netlink = Sent()
    call(netlink, *args, **given)
    message, number, flags = netlink.requests[0]
    message["header"].update(type=number, flags=flags, sequence_number=1)
    message.encode()
    read = kind(message.data)
    read.decode()
    found = plain(read)
    header = found.pop("header")
    assert header["length"] == len(message.data)
    return (header["type"], header["flags"]), {
        key: value for key, value in found.items() if key not in {"event", "state"}
    }


NEW_LINK = (16, 0x600)
NEW_ROUTE, NEW_ROUTE_ALONE, OLD_ROUTE = (24, 0xC00), (24, 0x600), (25, 0)


def test_veth_pair() -> None:
    """Both ends have their names, MACs, MTU and places."""
    ends = {"host_mac": MACS[0], "peer_mac": MACS[1]}
    peer = {
        "IFLA_IFNAME": "eth0",
        "IFLA_ADDRESS": MACS[1],
        "IFLA_NET_NS_FD": 7,
    }
    args = "veth1", "eth0", NAMESPACE
    kind = {"IFLA_INFO_KIND": "veth", "IFLA_INFO_DATA": {"VETH_INFO_PEER": peer}}
    host = {"IFLA_IFNAME": "veth1", "IFLA_ADDRESS": MACS[0], "IFLA_LINKINFO": kind}
    assert sent(ifinfmsg, links.add_veth, *args, **ends, up=False) == (NEW_LINK, host)
    found = sent(ifinfmsg, links.add_veth, *args, **ends, mtu=1400, master=MASTER)
    peer["IFLA_MTU"] = host["IFLA_MTU"] = 1400
    up = {"flags": 1, "change": 1}
    assert found == (NEW_LINK, host | up | {"IFLA_MASTER": 5})


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_macvlan(mode: str) -> None:
    """It is made down, on its master, where it is to be; and its options change."""
    args = "eth0", MASTER
    given: Any = {"passing": "cni1", "mode": mode, "mac": MACS[0]}
    head, found = sent(ifinfmsg, macvlans.add, *args, **given)
    data = {"IFLA_MACVLAN_MODE": mode}
    assert head == NEW_LINK
    assert found == {
        "IFLA_IFNAME": "cni1",
        "IFLA_ADDRESS": MACS[0],
        "IFLA_LINK": 5,
        "IFLA_LINKINFO": {"IFLA_INFO_KIND": "macvlan", "IFLA_INFO_DATA": data},
    }
    given |= {"mtu": 1400, "namespace": NAMESPACE}
    _, found = sent(ifinfmsg, macvlans.add, *args, **given, bc_queue_len=9)
    assert (found["IFLA_MTU"], found["IFLA_NET_NS_FD"]) == (1400, 7)
    head, changed = sent(ifinfmsg, macvlans.change, MASTER, mode, 9)
    assert head == (16, 0)
    assert changed == {"index": 5, "IFLA_LINKINFO": found["IFLA_LINKINFO"]}


def test_flags_of_a_port() -> None:
    """They are those of a bridge's port, which the link is already."""
    flags = {"hairpin": True, "isolated": False}
    head, found = sent(ifinfmsg, bridges.set_port, "veth1", **flags)
    data = {"IFLA_BRPORT_MODE": 1, "IFLA_BRPORT_ISOLATED": 0}
    port = {"IFLA_INFO_SLAVE_KIND": "bridge", "IFLA_INFO_SLAVE_DATA": data}
    assert head == (16, 0)
    assert found == {"IFLA_IFNAME": "veth1", "IFLA_LINKINFO": port}


def add_route(netlink: Netlink, *args: Any, **given: Any) -> None:
    """Add the route that is described."""
    netlink.carry_out(routes.addition(*args, **given))


def test_route_with_all_that_it_may_have() -> None:
    """Each value is where pyroute2 looks for it."""
    found = sent(
        rtmsg,
        add_route,
        MASTER,
        ip_network("fd00:1::/64"),
        ip_address("fd00::1"),
        mtu=1400,
        advmss=1300,
        priority=7,
        table=1000,
        scope=200,
        source=ip_address("fd00::2"),
        exclusive=True,
        on_link=True,
    )
    assert found == (
        NEW_ROUTE_ALONE,
        {
            "family": socket.AF_INET6,
            "dst_len": 64,
            "proto": 3,
            "scope": 200,
            "type": 1,
            "flags": 4,
            "RTA_DST": "fd00:1::",
            "RTA_OIF": 5,
            "RTA_TABLE": 1000,
            "RTA_GATEWAY": "fd00::1",
            "RTA_PREFSRC": "fd00::2",
            "RTA_PRIORITY": 7,
            "RTA_METRICS": {"RTAX_MTU": 1400, "RTAX_ADVMSS": 1300},
        },
    )


def test_route_of_little() -> None:
    """Without a gateway it is on the link; it is deleted by the same words."""
    same = {"family": socket.AF_INET, "dst_len": 24, "scope": 253}
    same |= {"RTA_DST": "10.1.2.0", "RTA_OIF": 5, "RTA_TABLE": 254}
    dst = ip_network("10.1.2.0/24")
    added = sent(rtmsg, add_route, MASTER, dst)
    assert added == (NEW_ROUTE, same | {"proto": 3, "type": 1})
    assert sent(rtmsg, routes.delete, MASTER, dst) == (OLD_ROUTE, same)


def test_question_for_the_default_route() -> None:
    """The entry of the table is asked for that an address of nobody matches."""
    head, found = sent(rtmsg, default_route.link)
    assert head == (26, 0)
    assert found == {
        "family": socket.AF_INET,
        "dst_len": 32,
        "flags": 0x2000,
        "RTA_DST": "192.0.2.1",
    }
