# SPDX-License-Identifier: Apache-2.0
"""An address that a server gives although somebody on the network has it already."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.dhcp.helpers import CONF, Lan, addresses, conf, recorded, until
from netns.dhcp.scripted import (
    DECLINE,
    DISCOVER,
    REQUEST,
    Asked,
    Scripted,
    decent,
)

if TYPE_CHECKING:
    from lab import Cni, Space

SERVER, TAKEN, FREE = "10.77.0.1", "10.77.0.100", "10.77.0.101"

pytestmark = pytest.mark.usefixtures("keeper")


def squatter(lan: Lan, address: str = TAKEN) -> Space:
    """Return a host on the network that has an address of its own accord."""
    space = lan.container()
    run("ip", "-n", space.name, "addr", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", space.name, "link", "set", "eth0", "up")
    return space


def test_server_hears_that_its_address_is_taken(lan: Lan, cni: Cni) -> None:
    """It is asked again, and what it gives then is used (RFC 2131, 4.4.1)."""
    squatter(lan)

    def says(asked: Asked) -> list[bytes]:
        yours = FREE if DECLINE in server.kinds() else TAKEN
        return decent(SERVER, yours)(asked)

    with Scripted(lan.server, says) as server:
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert addresses(result) == [f"{FREE}/24"]
    again = [DISCOVER, REQUEST]
    assert server.kinds() == [*again, DECLINE, *again]
    declined = server.heard[2]
    assert declined.options[50] == socket.inet_aton(TAKEN)
    assert declined.options[54] == socket.inet_aton(SERVER)
    assert declined.options[61] == server.heard[0].options[61]
    assert (declined.source, declined.mine) == ("0.0.0.0", "0.0.0.0")
    assert recorded()[0]["grant"]["address"] == f"{FREE}/24"


def test_dnsmasq_gives_another_one(lan: Lan, cni: Cni) -> None:
    """It gives a client the same address again, until that is declined."""
    lan.serve()
    space = lan.container()
    (before,) = addresses(cni.ok("dhcp", "ADD", CONF, netns=space))
    cni.ok("dhcp", "DEL", CONF, netns=space)
    until(lambda: not lan.leased())
    squatter(lan, before.partition("/")[0])
    (after,) = addresses(cni.ok("dhcp", "ADD", CONF, netns=space))
    assert after != before
    assert list(lan.leased()) == [after.partition("/")[0]]
    assert lan.log().count("DHCPDECLINE") == 1


def test_server_of_taken_addresses_is_given_up(lan: Lan, cni: Cni) -> None:
    """Before it has set all of them aside; who has the address is named."""
    (shown,) = squatter(lan).ip("link", "show", "eth0")
    with Scripted(lan.server, decent(SERVER, TAKEN)) as server:
        error = cni.refused("dhcp", "ADD", CONF, netns=lan.container())
        assert server.kinds().count(DECLINE) == 3
    cause = f"server {SERVER} gave {TAKEN}, which {shown['address']} has"
    assert error["msg"] == f"lease address for eth0: {cause}"
    assert error["code"] == 11
    assert recorded() == []


def test_who_asks_for_no_probe_has_none(lan: Lan, cni: Cni) -> None:
    """Where a router answers for every address."""
    squatter(lan)
    with Scripted(lan.server, decent(SERVER, TAKEN)) as server:
        result = cni.ok("dhcp", "ADD", conf(probe=False), netns=lan.container())
    assert addresses(result) == [f"{TAKEN}/24"]
    assert server.kinds() == [DISCOVER, REQUEST]
