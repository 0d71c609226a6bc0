# SPDX-License-Identifier: Apache-2.0
"""What the configuration has a server told and asked for, and what comes of answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.dhcp.helpers import CONF, Keeper, Lan, conf, recorded, until
from netns.dhcp.scripted import Scripted, decent, given
from netns.dhcp.test_hostile import offering

if TYPE_CHECKING:
    from lab import Cni

SERVER, YOURS = "10.77.0.1", "10.77.0.100"
GOOD = given(SERVER)
ASKED = [1, 121, 3, 33, 6, 15, 119, 26, 42, 58, 59]

pytestmark = pytest.mark.usefixtures("keeper")


def told(lan: Lan, cni: Cni, document: Any, **options: Any) -> list[Any]:
    """Return what a server hears of an ADD."""
    with Scripted(lan.server, decent(SERVER, YOURS)) as server:
        cni.ok("dhcp", "ADD", document, netns=lan.container(), **options)
    return server.heard


def test_server_knows_the_attachment_by_its_names(lan: Lan, cni: Cni) -> None:
    """The client identifier is that of the reference, in every message."""
    for heard in told(lan, cni, CONF):
        assert heard.options[61] == b"\0c1/lan/eth0"
        assert list(heard.options[55]) == ASKED
        assert heard.flags == 0


def test_long_names_are_told_apart(lan: Lan, cni: Cni) -> None:
    """Two containers whose IDs begin alike are two clients."""
    names = ["c" * 250 + end for end in ("1" * 20, "2" * 20)]
    found = {told(lan, cni, CONF, container_id=name)[0].options[61] for name in names}
    assert len(found) == 2
    assert {len(each) for each in found} == {255}


def test_options_are_provided(lan: Lan, cni: Cni) -> None:
    """By name and by number, from the configuration and from CNI_ARGS."""
    document = conf(
        provide=[
            {"option": "host-name", "value": "other", "fromArg": "K8S_POD_NAME"},
            {"option": "60", "value": "cni"},
            {"option": "user-class", "fromArg": "MISSING"},
            {"option": "fqdn", "value": "web.example.org"},
            {"option": "dhcp-client-identifier", "value": "me"},
        ]
    )
    args = "K8S_POD_NAME=web;ANYTHING=else;nonsense"
    for heard in told(lan, cni, document, args=args):
        assert heard.options[12] == b"web"
        assert heard.options[60] == b"cni"
        assert 77 not in heard.options
        assert heard.options[81] == b"\5\0\0\3web\7example\3org\0"
        assert heard.options[61] == b"me"


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        ([{"option": "nis-domain"}], None),
        ([{"option": "40"}], [*ASKED, 40]),
        ([{"skipDefault": True}, {"option": "routers"}], [3]),
        ([{"skipDefault": True, "option": "subnet-mask"}], [1]),
    ],
)
def test_options_are_asked_for(
    lan: Lan, cni: Cni, request_: list[Any], asked: list[int] | None
) -> None:
    """Beside the defaults or without them; an unknown name is an error."""
    document = conf(request=request_)
    if asked is None:
        error = cni.refused("dhcp", "ADD", document, netns=lan.container())
        assert error["code"] == 7
        assert "'nis-domain' is no option of DHCP" in error["msg"]
        return
    assert list(told(lan, cni, document)[0].options[55]) == asked


def test_broadcast_is_of_a_network(lan: Lan, cni: Cni) -> None:
    """The flag of RFC 2131, for links that share a MAC."""
    for heard in told(lan, cni, conf(broadcast=True)):
        assert heard.flags == 0x8000


def test_result_has_what_the_server_gives(lan: Lan, cni: Cni) -> None:
    """Classless routes before others, name servers, domains, MTU and metric."""
    options = GOOD | {
        3: socket.inet_aton(SERVER),
        33: bytes((10, 90, 0, 0, 10, 77, 0, 3)),
        121: bytes((0, 10, 77, 0, 2, 16, 10, 91, 10, 77, 0, 4, 32, 10, 77, 9, 9))
        + bytes(4),
        6: bytes((10, 77, 0, 5, 10, 77, 0, 6)),
        15: b"example.org\0",
        119: b"\3lab\7example\3org\0\4home\xc0\4",
        26: bytes((5, 120)),
        42: bytes((10, 77, 0, 7)),
    }
    document = conf(priority=77)
    with Scripted(lan.server, offering(options)):
        result = cni.ok("dhcp", "ADD", document, netns=lan.container())
    more = {"mtu": 1400, "priority": 77}
    assert result["routes"] == [
        {"dst": "0.0.0.0/0", "gw": "10.77.0.2", **more},
        {"dst": "10.91.0.0/16", "gw": "10.77.0.4", **more},
        {"dst": "10.77.9.9/32", **more, "scope": 253},
    ]
    assert result["ips"] == [{"address": f"{YOURS}/24", "gateway": SERVER}]
    assert result["dns"] == {
        "nameservers": ["10.77.0.5", "10.77.0.6"],
        "domain": "example.org",
        "search": ["lab.example.org", "home.example.org"],
    }
    assert recorded()[0]["grant"]["options"]["42"] == "0a4d0007"


@pytest.mark.parametrize(
    "options",
    [
        {121: b"\x21\x0a"},
        {121: b"\x10\x0a"},
        {33: b"\x0a\x0a"},
        {6: b"\x0a"},
        {119: b"\xc0\x00"},
        {119: b"\x3fabc"},
        {119: b"\1\xff\0"},
        {15: b"a\x1b[2J"},
        {26: b"\0\1"},
        {3: b""},
        {58: b"\0\0\0\0", 59: b"\xff\xff\xff\xff"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_left_out(
    lan: Lan, cni: Cni, options: dict[int, bytes]
) -> None:
    """The rest of the lease is of use."""
    with Scripted(lan.server, offering(GOOD | options)):
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert set(result) == {"cniVersion", "ips"}


def test_mac_that_changes_is_followed(lan: Lan, cni: Cni, keeper: Keeper) -> None:
    """The server hears of it with the next message, whoever has changed it."""
    lan.serve()
    space = lan.container()
    cni.ok("dhcp", "ADD", CONF, netns=space)
    mac = "02:00:00:00:00:77"
    run("ip", "-n", space.name, "link", "set", "eth0", "address", mac)
    keeper.kill()
    keeper.start()
    until(lambda: list(lan.leased().values()) == [mac])
    assert recorded()[0]["mac"] == mac
