# SPDX-License-Identifier: Apache-2.0
"""The link by which the kernel would send to an address."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import supervised
from lab import run

from cni_common.kernel.route_get import (
    _HEADER,
    _ROUTE,
    _link_of,
    holder,
    link_towards,
)
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from system_calls import Call

pytestmark = pytest.mark.usefixtures("host")


def connect(name: str, *addresses: str) -> None:
    """Have a bridge with addresses, up."""
    run("ip", "link", "add", name, "type", "bridge")
    for address in addresses:
        run("ip", "addr", "add", address, "dev", name, "nodad")
    run("ip", "link", "set", name, "up")


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("10.1.0.9", "br0"),
        ("fd00:1::9", "br0"),
        ("10.2.0.9", "br1"),
        ("198.51.100.1", "br1"),
        ("127.0.0.1", "lo"),
        ("10.1.0.1", "lo"),
    ],
)
def test_link_is_that_of_the_route(address: str, link: str) -> None:
    """Connected, default and local routes lead through their links."""
    connect("br0", "10.1.0.1/24", "fd00:1::1/64")
    connect("br1", "10.2.0.1/24")
    run("ip", "route", "add", "default", "via", "10.2.0.254")
    assert link_towards(ip_address(address)) == link


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
def test_without_route_the_error_says_so(address: str) -> None:
    """Where nothing leads to is an error with the kernel's cause."""
    with pytest.raises(CNIError) as raised:
        link_towards(ip_address(address))
    assert raised.value.code == 999
    cause = "network is unreachable"
    assert raised.value.msg == f"find route to {address}: {cause}"


def test_refused_route_is_an_error() -> None:
    """A route that forbids sending is as good as none."""
    run("ip", "route", "add", "prohibit", "10.9.0.0/16")
    with pytest.raises(CNIError) as raised:
        link_towards(ip_address("10.9.0.1"))
    assert raised.value.msg == "find route to 10.9.0.1: permission denied"


def test_route_without_a_link_is_an_error() -> None:
    """An answer of the kernel that names no link is an error."""
    answer = _HEADER.pack(_HEADER.size + _ROUTE.size, 24, 0, 1, 0)
    answer += bytes(_ROUTE.size)
    with pytest.raises(CNIError) as raised:
        _link_of(answer, ip_address("10.9.0.1"))
    assert raised.value.msg == "find route to 10.9.0.1: it names no link"


@pytest.mark.parametrize("address", ("10.9.8.1", "fd00:9::1"))
def test_holder_is_the_link_with_the_address(address: str) -> None:
    """The link that has an address is named at once; a neighbour's has none."""
    run("ip", "link", "add", "br9", "type", "bridge")
    run("ip", "link", "set", "br9", "up")
    value = ip_address(address)
    assert holder(value) is None
    run("ip", "addr", "add", f"{address}/{24 if '.' in address else 64}", "dev", "br9")
    assert holder(value) == "br9"
    assert holder(value + 1) is None
    assert holder(ip_address("192.0.2.1")) is None


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00:1::3"])
def test_kernel_that_cannot_look_does_not_say_that_there_is_none(address: str) -> None:
    """Where it has no memory for the answer that is told, and nothing is concluded."""

    def act() -> bytes:
        try:
            return str(holder(ip_address(address))).encode()
        except CNIError as error:
            return str(error).encode()

    def decide(_: int, call: Call) -> int | None:
        return errno.ENOMEM if call.what in {"GETROUTE", "GETADDR"} else None

    assert supervised.run(act, lambda *_: None).output == b"None"
    told = f"find route to {address}: cannot allocate memory"
    assert supervised.run(act, decide).output == told.encode()
