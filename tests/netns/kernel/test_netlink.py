# SPDX-License-Identifier: Apache-2.0
"""The rtnetlink socket: every request has its outcome, every list is whole."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.kernel.seccomp import refusing

from cni_common.kernel import netlink as words
from cni_common.kernel import pyroute2_messages
from cni_common.kernel.attributes import attribute, number
from cni_common.kernel.netlink import (
    CREATE,
    EXCLUSIVE,
    DumpInterruptedError,
    Netlink,
    NetlinkError,
)
from cni_common.kernel.pyroute2_messages import ifinfmsg
from cni_common.kernel.requests import Request, RouteRequest
from cni_common.kernel.route_answer import TABLE, RouteAnswer
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Host

pytestmark = pytest.mark.usefixtures("host")
NEWLINK, DELLINK, GETLINK, NEWADDR = 16, 17, 18, 20
HEADER = struct.Struct("=LHHLL")
LINKS = 1000


def bridge(name: str) -> tuple[Any, int, int]:
    """Return the request that makes a bridge."""
    message = ifinfmsg()
    kind = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
    message["attrs"] = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", kind)]
    return message, NEWLINK, CREATE | EXCLUSIVE


def named(name: str) -> Any:
    """Return the message that names a link."""
    message = ifinfmsg()
    message["attrs"] = [("IFLA_IFNAME", name)]
    return message


def names() -> set[str]:
    """Return the names of all links but lo."""
    return {link["ifname"] for link in ip("link")} - {"lo"}


def test_each_request_of_a_batch_has_its_outcome() -> None:
    """All are tried in order; a refusal stands at its place."""
    with Netlink() as netlink:
        outcomes = netlink.outcomes([bridge("a"), bridge("a"), bridge("b")])
        assert [error and error.errno for error in outcomes] == [
            None,
            errno.EEXIST,
            None,
        ]
        assert netlink.outcomes([]) == []
    assert names() == {"a", "b"}


def test_first_refusal_of_a_batch_is_raised() -> None:
    """The batch goes on, and the first that was refused is the error."""
    with Netlink() as netlink, pytest.raises(NetlinkError) as raised:
        netlink.act(
            bridge("a"), (named("absent"), DELLINK, 0), bridge("a"), bridge("b")
        )
    assert raised.value.errno == errno.ENODEV
    assert names() == {"a", "b"}


def test_batch_may_be_larger_than_the_socket_holds(host: Host) -> None:
    """A thousand links in one batch: no acknowledgement is lost, no list cut off."""
    del host
    wanted = {f"br{number}" for number in range(LINKS)}
    with Netlink() as netlink:
        requests = [bridge(name) for name in sorted(wanted)]
        assert netlink.outcomes(requests) == [None] * LINKS
        listed = netlink.dump(ifinfmsg(), GETLINK, ifinfmsg)
        again = netlink.outcomes(requests)
        assert {error.errno for error in again if error} == {errno.EEXIST}
    found = {message.get_attr("IFLA_IFNAME") for message in listed}
    assert found - {"lo"} == wanted == names()


def test_refusal_has_the_words_of_the_kernel() -> None:
    """The extended acknowledgement says more than an errno, where there is one."""
    run("ip", "link", "add", "br0", "type", "bridge")
    address = socket.inet_pton(socket.AF_INET6, "fd00::1")
    body = struct.pack("=BBBBI", socket.AF_INET6, 200, 0, 0, 1)
    message = Request(body + attribute(1, address) + attribute(2, address))
    with Netlink() as netlink:
        (error,) = netlink.outcomes([(message, NEWADDR, CREATE)])
        assert error is not None
        assert (error.errno, error.strerror) == (
            errno.EINVAL,
            "ipv6: Invalid prefix length",
        )
        with pytest.raises(NetlinkError) as raised:
            netlink.get(named("absent"), GETLINK, ifinfmsg)
    assert (raised.value.errno, raised.value.strerror) == (
        errno.ENODEV,
        "no such device",
    )


def test_get_answers_with_the_one_object() -> None:
    """A link is found by its name."""
    with Netlink() as netlink:
        link = netlink.get(named("lo"), GETLINK, ifinfmsg)
    assert (link["index"], link.get_attr("IFLA_IFNAME")) == (1, "lo")


def test_refused_dump_is_an_error() -> None:
    """A dump that the kernel refuses is no empty list."""
    message = RouteRequest(socket.AF_INET, number(TABLE, 4711))
    with Netlink() as netlink, pytest.raises(NetlinkError) as raised:
        netlink.dump(message, 26, RouteAnswer)
    assert raised.value.errno == errno.ENOENT


class Script:
    """A socket that gives what a test wants it to have received."""

    def __init__(self, *answers: bytes, flags: int = 0, sender: int = 0) -> None:
        self.answers = list(answers)
        self.flags = flags
        self.sender = sender
        self.sent: list[bytes] = []

    def send(self, request: bytes) -> None:
        """Take a request."""
        self.sent.append(request)

    def recvmsg(self, _: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        """Give the next answer; the sender's port is asked for once."""
        sender, self.sender = self.sender, 0
        return self.answers.pop(0), [], self.flags, (sender, 0)

    def close(self) -> None:
        """Nothing is held."""


def scripted(script: Script) -> Netlink:
    """Return a Netlink that talks to `script`."""
    netlink = Netlink()
    netlink.close()
    vars(netlink)["_socket"] = script
    return netlink


def test_kernel_that_does_not_answer_is_not_waited_for_forever() -> None:
    """Without an answer there is an error in the end."""
    with Netlink() as netlink:
        option = socket.SOL_SOCKET, socket.SO_RCVTIMEO
        vars(netlink)["_socket"].setsockopt(*option, struct.pack("@ll", 0, 1000))
        with pytest.raises(NetlinkError) as raised:
            vars(Netlink)["_read"](netlink)
    assert raised.value.errno == errno.ETIMEDOUT


def done(sequence: int, number: int = 0, flags: int = 0, tail: bytes = b"") -> bytes:
    """Return the message that ends a dump."""
    body = struct.pack("=i", number) + tail
    return HEADER.pack(HEADER.size + len(body), 3, 2 | flags, sequence, 0) + body


def test_answer_that_was_cut_off_is_an_error() -> None:
    """A truncated datagram is never taken for the whole."""
    script = Script(done(1), flags=socket.MSG_TRUNC)
    with pytest.raises(NetlinkError) as raised:
        scripted(script).dump(ifinfmsg(), GETLINK, ifinfmsg)
    assert raised.value.errno == errno.EMSGSIZE


def test_interrupted_dump_is_asked_again() -> None:
    """A list that changed while it was read is read anew."""
    script = Script(done(1, flags=0x10), done(2))
    assert scripted(script).dump(named("x"), GETLINK, ifinfmsg) == []
    first, second = script.sent
    assert len(first) == len(second) == HEADER.unpack_from(second)[0]


def test_list_that_never_holds_still_is_an_error() -> None:
    """After many attempts the caller is told to come back."""
    answers = [done(number, flags=0x10) for number in range(1, 200)]
    script = Script(*answers)
    with pytest.raises(NetlinkError) as raised:
        scripted(script).dump(ifinfmsg(), GETLINK, ifinfmsg)
    assert raised.value.errno == errno.EAGAIN
    assert not isinstance(raised.value, DumpInterruptedError)
    assert len(script.sent) == 100


def test_dump_that_ends_early_is_an_error() -> None:
    """The last message of a dump may carry an error, with the kernel's words."""
    attribute = struct.pack("=HH", 4 + 5, 1) + b"why.\0\0\0\0"
    script = Script(done(1, -errno.ENOMEM, 0x200, attribute))
    with pytest.raises(NetlinkError) as raised:
        scripted(script).dump(ifinfmsg(), GETLINK, ifinfmsg)
    assert (raised.value.errno, raised.value.strerror) == (errno.ENOMEM, "why")


def test_only_the_kernel_is_listened_to() -> None:
    """A datagram of another process, or of an earlier request, is passed over."""
    forged = done(1, -errno.EPERM)
    script = Script(forged, done(99, -errno.EPERM), done(1), sender=4711)
    assert scripted(script).dump(ifinfmsg(), GETLINK, ifinfmsg) == []
    assert script.answers == []


@pytest.mark.parametrize(
    "tail", [b"", b"\1\0", b"\3\0\2\0", b"\xff\xff\2\0", b"\0" * 8]
)
def test_odd_attributes_of_an_acknowledgement_do_no_harm(tail: bytes) -> None:
    """Where there are no words, the errno's own are used."""
    script = Script(done(1, -errno.EPERM, 0x200, tail))
    with pytest.raises(NetlinkError) as raised:
        scripted(script).dump(ifinfmsg(), GETLINK, ifinfmsg)
    assert raised.value.strerror == "operation not permitted"


def test_acknowledgement_instead_of_an_object_ends_a_list() -> None:
    """An acknowledgement without an error is an empty answer."""
    body = struct.pack("=i", 0) + bytes(HEADER.size)
    ack = HEADER.pack(HEADER.size + len(body), 2, 0, 1, 0) + body
    assert scripted(Script(ack)).dump(ifinfmsg(), GETLINK, ifinfmsg) == []


def test_listener_survives_a_flood_of_events() -> None:
    """More events than the socket holds are no error to who looks for itself."""
    with Netlink(groups=1) as events, Netlink() as netlink:
        for number in range(LINKS):
            message = named("lo")
            message["attrs"] += [("IFLA_IFALIAS", f"alias {number}")]
            netlink.act((message, NEWLINK, 0))
        os.set_blocking(events.fileno(), False)
        received = 0
        with suppress(BlockingIOError):
            while events.receive():
                received += 1
    assert 0 < received < LINKS


def test_socket_stays_in_its_namespace(host: Host) -> None:
    """A socket speaks to the namespace where it was opened, wherever the thread is."""
    space = host.space()
    run("ip", "link", "add", "br0", "type", "bridge")
    with Netlink() as netlink, space.entered():
        listed = netlink.dump(ifinfmsg(), GETLINK, ifinfmsg)
    found = {message.get_attr("IFLA_IFNAME") for message in listed}
    assert found == {"lo", "br0"}
    assert words.REQUEST == 1


def test_door_to_pyroute2_is_entered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second entry changes nothing, and a missing package says so."""
    before = sys.modules["pyroute2"]
    pyroute2_messages._enter_beside_init()
    assert sys.modules["pyroute2"] is before
    monkeypatch.delitem(sys.modules, "pyroute2")
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(ImportError, match="pyroute2 is not installed"):
        pyroute2_messages._enter_beside_init()


def test_socket_that_the_kernel_refuses() -> None:
    """Where no socket can be opened, the error says so and is a plugin's."""
    raised = refusing("socket", errno.EMFILE, Netlink, (0, 16), (2, 0))
    assert isinstance(raised, CNIError)
    assert raised.code == 999
    assert raised.msg == "open netlink socket: too many open files"
