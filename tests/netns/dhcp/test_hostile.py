# SPDX-License-Identifier: Apache-2.0
"""Servers that are wrong, slow, or of two minds: a clear error, or the better offer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.dhcp.helpers import (
    CONF,
    SOCKET,
    Keeper,
    Lan,
    addresses,
    conf,
    recorded,
    until,
)
from netns.dhcp.scripted import (
    ACK,
    DISCOVER,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    Asked,
    Scripted,
    answer,
    decent,
    given,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni

SERVER, YOURS = "10.77.0.1", "10.77.0.100"
GOOD = given(SERVER)

pytestmark = pytest.mark.usefixtures("keeper")


def offering(
    options: dict[int, bytes], yours: str = YOURS
) -> Callable[[Asked], list[bytes]]:
    """Return what a server says that offers and gives just that."""

    def says(asked: Asked) -> list[bytes]:
        kind = {DISCOVER: OFFER, REQUEST: ACK}.get(asked.kind)
        return [answer(asked, kind, yours, options)] if kind else []

    return says


def without(code: int) -> dict[int, bytes]:
    """Return the options of a decent answer but one."""
    return {key: held for key, held in GOOD.items() if key != code}


@pytest.mark.parametrize(
    ("says", "cause"),
    [
        (offering(without(54)), "without saying who it is"),
        (offering(without(1)), "without a subnet mask"),
        (offering(without(51)), "for 0 s"),
        (offering(GOOD | {51: seconds(0)}), "for 0 s"),
        (offering(GOOD | {1: bytes((255, 0, 255, 0))}), "subnet mask 255.0.255.0"),
        (offering(GOOD | {1: bytes(4)}), "subnet mask 0.0.0.0"),
        (offering(GOOD | {1: b"\xff"}), "without a subnet mask"),
        (offering(GOOD, "0.0.0.0"), "no address of a host"),
        (offering(GOOD, "127.0.0.1"), "no address of a host"),
        (offering(GOOD, "224.0.0.5"), "no address of a host"),
        (offering(GOOD, "255.255.255.255"), "no address of a host"),
        (offering(GOOD, "10.77.0.255"), "no address of a host in 10.77.0.0/24"),
        (lambda _: [], "no server answered"),
        (lambda _: [b"", b"\0", os.urandom(300)], "no server answered"),
        (
            lambda asked: [answer(asked, OFFER, YOURS, {}, b"\x36\xff\x01")],
            "option 54 that is longer than the message",
        ),
        (
            lambda asked: [answer(asked, 77, YOURS, GOOD)],
            "a message of no kind that answers",
        ),
    ],
)
def test_what_is_of_no_use_is_not_taken(
    lan: Lan, cni: Cni, says: Callable[[Asked], list[bytes]], cause: str
) -> None:
    """ADD fails in time, says why, and leaves nothing."""
    with Scripted(lan.server, says) as server:
        error = cni.refused("dhcp", "ADD", conf(timeout=1), netns=lan.container())
    assert error["code"] == 11
    assert cause in error["msg"]
    assert REQUEST not in server.kinds()
    assert recorded() == []


def test_another_address_than_offered_is_not_taken(lan: Lan, cni: Cni) -> None:
    """What may have been leased is given back."""

    def says(asked: Asked) -> list[bytes]:
        if asked.kind == REQUEST:
            return [answer(asked, ACK, "10.99.0.7", GOOD)]
        return [answer(asked, OFFER, YOURS, GOOD)] if asked.kind == DISCOVER else []

    with Scripted(lan.server, says) as server:
        error = cni.refused("dhcp", "ADD", conf(timeout=2), netns=lan.container())
        until(lambda: RELEASE in server.kinds())
    assert f"server {SERVER} gave 10.99.0.7 in the place of {YOURS}" in str(error)
    assert server.heard[-1].mine == YOURS
    assert len(server.heard) < 20


def test_refusal_is_told_in_the_servers_words(lan: Lan, cni: Cni) -> None:
    """A NAK begins it anew, and is the error in the end."""

    def says(asked: Asked) -> list[bytes]:
        if asked.kind == REQUEST:
            return [answer(asked, NAK, "0.0.0.0", {54: GOOD[54], 56: b"no\x1b room"})]
        return [answer(asked, OFFER, YOURS, GOOD)] if asked.kind == DISCOVER else []

    with Scripted(lan.server, says):
        error = cni.refused("dhcp", "ADD", conf(timeout=1), netns=lan.container())
    assert "refused: no" in error["msg"]
    assert "\x1b" not in error["msg"]


def test_better_offer_is_taken(lan: Lan, cni: Cni) -> None:
    """Of two servers that disagree the one without a flaw, be it the slower one."""
    other = lan.host.space("srv2")
    lan.plug(other)
    run("ip", "-n", other.name, "addr", "add", "10.77.0.2/24", "dev", "eth0")
    run("ip", "-n", other.name, "link", "set", "eth0", "up")
    bad = GOOD | {3: socket.inet_aton("192.0.2.1")}
    good = decent("10.77.0.2", "10.77.0.200")

    def slowly(asked: Asked) -> list[bytes]:
        time.sleep(0.3)
        return good(asked)

    with Scripted(lan.server, offering(bad)), Scripted(other, slowly):
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert addresses(result) == ["10.77.0.200/24"]


def test_doubtful_offer_is_better_than_none(lan: Lan, cni: Cni) -> None:
    """Where nobody has a better one."""
    bad = GOOD | {3: socket.inet_aton("192.0.2.1"), 51: seconds(30)}
    with Scripted(lan.server, offering(bad)):
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert addresses(result) == [f"{YOURS}/24"]
    assert result["ips"][0]["gateway"] == "192.0.2.1"


def test_slow_server_is_waited_for(lan: Lan, cni: Cni) -> None:
    """An answer that comes after the question was repeated is one."""

    def says(asked: Asked) -> list[bytes]:
        time.sleep(1.2)
        return decent(SERVER, YOURS)(asked)

    with Scripted(lan.server, says):
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert addresses(result) == [f"{YOURS}/24"]


def test_server_that_dies_between_offer_and_lease(lan: Lan, cni: Cni) -> None:
    """Another one is asked from the beginning."""
    dying = offering(GOOD)

    def says(asked: Asked) -> list[bytes]:
        if asked.kind == DISCOVER and server.kinds().count(REQUEST) < 4:
            return dying(asked)
        return (
            decent("10.77.0.9", YOURS)(asked)
            if asked.kind != REQUEST
            or (asked.options[54] == socket.inet_aton("10.77.0.9"))
            else []
        )

    with Scripted(lan.server, says) as server:
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert addresses(result) == [f"{YOURS}/24"]
    assert recorded()[0]["grant"]["server"] == "10.77.0.9"


def test_options_in_parts_are_put_together(lan: Lan, cni: Cni) -> None:
    """More than 255 bytes (RFC 3396): sixty name servers."""
    servers = b"".join(bytes((10, 88, 0, number)) for number in range(1, 81))
    with Scripted(lan.server, offering(GOOD | {6: servers})):
        result = cni.ok("dhcp", "ADD", CONF, netns=lan.container())
    assert len(result["dns"]["nameservers"]) == 80


def test_flood_does_not_keep_others_waiting(lan: Lan, cni: Cni) -> None:
    """A server that answers a question a thousand times is told apart from work."""

    def says(asked: Asked) -> list[bytes]:
        return [answer(asked, OFFER, "0.0.0.0", GOOD)] * 2000

    with Scripted(lan.server, says):
        began = time.monotonic()
        error = cni.refused("dhcp", "ADD", conf(timeout=2), netns=lan.container())
        assert time.monotonic() - began < 10
    assert "no address of a host" in error["msg"]
    cni.ok("dhcp", "STATUS", CONF)


def test_caller_that_hangs_up_leaves_nothing(lan: Lan) -> None:
    """A runtime may kill ADD at any moment."""
    code = "from launcher.main import run; run(['dhcp'])"
    space = lan.container()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.getcwd(),
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": space.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, env=env) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(CONF).encode())
        process.stdin.close()
        until(recorded)
        process.kill()
    until(lambda: not recorded())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 5000,
        b"CONNECT /_goRPC_ HTTP/1.0\n\n" + b"\xff" * 100,
        b"CONNECT /_goRPC_ HTTP/1.0\n\n" + b"\xf8" + b"\x7f" * 8,
        b"CONNECT /_goRPC_ HTTP/1.0\n\n\x03\x04\x01\x02",
    ],
)
def test_caller_that_talks_nonsense_is_shown_the_door(
    cni: Cni, keeper: Keeper, said: bytes
) -> None:
    """And the next one is served."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(SOCKET)
        line.sendall(said)
        line.shutdown(socket.SHUT_WR)
        line.settimeout(10)
        while line.recv(4096):
            pass
    cni.ok("dhcp", "STATUS", CONF)
    assert "Traceback" not in keeper.said()


def test_call_without_a_body_is_answered_with_an_error(lan: Lan, cni: Cni) -> None:
    """The keeper reads what it is told as the plugin does."""
    space = lan.container()
    wrong: dict[str, Any] = {**CONF, "ipam": {"type": "dhcp", "timeout": "long"}}
    assert cni.refused("dhcp", "ADD", wrong, netns=space)["code"] == 7
    assert cni.refused("dhcp", "ADD", CONF, netns="/run/nowhere")["code"] == 8
