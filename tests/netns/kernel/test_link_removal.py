# SPDX-License-Identifier: Apache-2.0
"""Deleted links: gone when the call returns, although the kernel still frees them."""

from __future__ import annotations

import _thread
import errno
from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.dnsname.helpers import wait_for
from netns.kernel.seccomp import refusing

from cni_common.kernel import link_removal, links
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Space

    from cni_common.kernel.link_answer import Link

pytestmark = pytest.mark.usefixtures("host")


def pair(container: Space) -> Link:
    """Return a0, a port of br0, whose peer is the container's eth0; all are up."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "link", "set", "br0", "up")
    return another(container)


def another(container: Space) -> Link:
    """Add a pair of the same names to the same bridge."""
    peer = ("type", "veth", "peer", "name", "eth0", "netns", container.name)
    run("ip", "link", "add", "a0", "up", "master", "br0", *peer)
    run("ip", "-n", container.name, "link", "set", "eth0", "up")
    with Netlink() as netlink:
        return links.existing(netlink, "a0")


def names(space: Space | None = None) -> set[str]:
    """Return the names of the links, loopback and bridge apart."""
    shown = space.ip("link", "show") if space else ip("link", "show")
    return {link["ifname"] for link in shown} - {"lo", "br0"}


def test_both_ends_are_gone_at_once(container: Space) -> None:
    """Nobody sees port or peer after the call, and their names are free again."""
    link = pair(container)
    for _ in range(20):
        link_removal.delete(link)
        assert (names(), names(container)) == (set(), set())
        link = another(container)


def test_settle_returns_when_the_kernel_is_done(container: Space) -> None:
    """No thread of a deletion, and no descriptor, stays behind."""
    link = pair(container)
    before = _thread._count()
    link_removal.delete(link)
    link_removal.settle()
    wait_for(lambda: _thread._count() <= before)
    link_removal.settle()


def test_link_that_is_gone_already(container: Space) -> None:
    """What somebody else has deleted is no error."""
    link = pair(container)
    run("ip", "link", "delete", "a0")
    link_removal.delete(link)
    assert names(container) == set()


def test_other_link_of_the_same_name_stays(container: Space) -> None:
    """The link that was found is deleted, not another that has its name by now."""
    link = pair(container)
    run("ip", "link", "delete", "a0")
    another(container)
    link_removal.delete(link)
    assert names() == {"a0"}


def test_link_that_cannot_be_deleted() -> None:
    """The kernel's refusal is the cause of the error."""
    with Netlink() as netlink:
        lo = links.existing(netlink, "lo")
    with pytest.raises(CNIError) as refused:
        link_removal.delete(lo)
    assert refused.value.msg == "delete link lo: operation not supported"


def test_process_without_another_thread(
    container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started, the call itself waits for the kernel."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    link_removal.delete(pair(container))
    link_removal.settle()
    assert (names(), names(container)) == (set(), set())


def test_kernel_without_notification(
    container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification that is lost, or not the kernel's, is waited for no further."""
    receive = Netlink.receive
    monkeypatch.setattr(Netlink, "receive", lambda events: receive(events)[:0])
    link_removal.delete(pair(container))
    assert (names(), names(container)) == (set(), set())


def test_request_that_cannot_be_sent(container: Space) -> None:
    """A request that never reached the kernel is an error, not an answer to wait for.

    The link and its peer stay, and so does nothing of the deletion.
    """
    link, before = pair(container), _thread._count()
    error = refusing("sendto", errno.ENOBUFS, lambda: link_removal.delete(link))
    assert isinstance(error, CNIError), error
    assert error.msg == "delete link a0: no buffer space available"
    link_removal.settle()
    wait_for(lambda: _thread._count() <= before)
    assert (names(), names(container)) == ({"a0"}, {"eth0"})
    link_removal.delete(link)
    assert names() == set()


def test_refusal_is_netlinks() -> None:
    """The answer to a request that was handed over is read like any other."""
    with Netlink() as netlink:
        missing = links.existing(netlink, "lo")
        message = LinkRequest(index=missing.index + 1000)
        with netlink.hand_over(message, links.RTM_DELLINK, 0) as errand:
            errand.join()
        with pytest.raises(NetlinkError) as refused:
            netlink.acknowledged()
    assert refused.value.errno == errno.ENODEV
