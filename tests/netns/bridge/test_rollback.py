# SPDX-License-Identifier: Apache-2.0
"""bridge: a failed ADD leaves the host as it was, wherever it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults import Refusal, refuse_function, refuse_request, refused
from lab import run
from netns.bridge.helpers import conf
from pictures import picture

from cni_common import masquerade
from cni_common.kernel import links

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host, Space

EVERYTHING = conf(
    isDefaultGateway=True,
    ipMasq=True,
    macspoofchk=True,
    hairpinMode=True,
    portIsolation=True,
    mtu=1400,
    ipam={
        "type": "host-local",
        "ranges": [
            [{"subnet": "10.1.2.0/24"}],
            [{"subnet": "10.1.3.0/24"}],
            [{"subnet": "fd00:1::/64"}],
        ],
        "routes": [{"dst": "192.0.2.0/24", "mtu": 1300}],
    },
)


@pytest.mark.parametrize("refuse", [refuse_function, refuse_request])
def test_add_that_fails_anywhere_leaves_nothing(
    cni: Cni,
    container: Space,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
) -> None:
    """Whichever call fails during ADD, nothing stays, and a plain retry works."""
    before = picture(container)
    tolerated, failed, n = [], [], 0
    while True:
        n += 1
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse(patch, refusal)
            answer = cni("bridge", "ADD", EVERYTHING, netns=container)
        if refusal.left > 0:
            break
        (tolerated if answer.status == 0 else failed).append(refusal.where)
        if answer.status == 0:
            cni.ok("bridge", "DEL", EVERYTHING, netns=container)
            run("ip", "link", "del", "br0")
            run("sysctl", "-qw", "net.ipv4.ip_forward=0")
            run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
        after = picture(container)
        assert after == before, (n, refusal.where, answer.stdout)
    assert answer.status == 0, answer.stdout
    assert len(failed) > len(tolerated)
    assert len(failed) > 30


BAD_LEASE = conf(ipam={"type": "host-local", "ranges": [[{"subnet": "10.1.2.0/31"}]]})


def test_bridge_of_the_administrator_survives_unchanged(
    cni: Cni, container: Space
) -> None:
    """A failed ADD leaves a bridge without ports down, plain and with its addresses."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")
    before = picture(container)
    unforced = conf(promiscMode=True)
    error = cni.refused("bridge", "ADD", unforced, netns=container)
    assert error["msg"] == (
        'set address 10.1.2.1/24 of bridge br0: "br0" already has an IP address'
        " different from 10.1.2.1/24"
    )
    assert picture(container) == before


def test_forced_address_is_put_back(
    cni: Cni, container: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What forceAddress took from the bridge is there again when ADD fails later."""
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "addr", "add", "10.9.9.9/24", "brd", "+", "dev", "br0")
    before = picture(container)

    def refuse(*_: object) -> None:
        raise refused()

    monkeypatch.setattr(masquerade, "ensure", refuse)
    wanted = conf(forceAddress=True, ipMasq=True)
    cni.refused("bridge", "ADD", wanted, netns=container)
    assert picture(container) == before


def test_what_others_rely_on_stays(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed ADD takes neither bridge, gateway nor rules from a living container."""
    one, two = host.space(), host.space()
    wanted = conf(ipMasq=True, macspoofchk=True)
    cni.ok("bridge", "ADD", wanted, netns=one, container_id="one")
    before = picture(one, two)
    failed = 0
    for n in range(5, 60, 3):
        with monkeypatch.context() as patch:
            refuse_request(patch, Refusal(n))
            answer = cni("bridge", "ADD", wanted, netns=two, container_id="two")
        failed += answer.status
        if answer.status == 0:
            cni.ok("bridge", "DEL", wanted, netns=two, container_id="two")
        assert picture(one, two) == before
    assert failed > 5


def test_gateway_of_a_second_network_is_taken_back(
    cni: Cni, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a bridge in use a failed ADD takes back the gateway that only it needs."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(), netns=one, container_id="one")
    before = picture(one, two)
    ipam = {"type": "host-local", "ranges": [[{"subnet": "fd00:9::/64"}]]}
    other = conf(name="other", ipam=ipam)

    def refuse(*_: object) -> None:
        raise refused()

    monkeypatch.setattr(links, "announce", refuse)
    cni.refused("bridge", "ADD", other, netns=two, container_id="two")
    assert picture(one, two) == before


def test_lease_that_cannot_be_had_leaves_nothing(cni: Cni, container: Space) -> None:
    """With an exhausted range ADD fails and neither bridge nor record is left."""
    before = picture(container)
    cni.refused("bridge", "ADD", BAD_LEASE, netns=container)
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


def test_interface_that_exists_is_untouched(cni: Cni, container: Space) -> None:
    """A link called CNI_IFNAME in the container is an error, and it stays as it is."""
    container.run("ip", "link", "add", "eth0", "type", "bridge")
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


def test_repeated_add_keeps_the_attachment(cni: Cni, container: Space) -> None:
    """A second ADD of a living attachment answers the same and changes nothing."""
    wanted = conf(ipMasq=True, macspoofchk=True)
    result = cni.ok("bridge", "ADD", wanted, netns=container)
    before = picture(container)
    assert cni.ok("bridge", "ADD", wanted, netns=container) == result
    assert picture(container) == before


def test_another_add_of_a_living_attachment_is_refused(
    cni: Cni, container: Space
) -> None:
    """What would be made otherwise is an error, and what is there stays."""
    cni.ok("bridge", "ADD", conf(), netns=container)
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(hairpinMode=True), netns=container)
    assert error["msg"] == "add interface eth0: it already exists"
    assert picture(container) == before


def test_add_into_another_netns_keeps_the_attachment(cni: Cni, host: Host) -> None:
    """An attachment that lives in one namespace is not moved to another one."""
    one, two = host.space(), host.space()
    cni.ok("bridge", "ADD", conf(), netns=one)
    before = picture(one, two)
    error = cni.refused("bridge", "ADD", conf(), netns=two)
    assert error["msg"] == f"add interface eth0: container c1 has it in {one.path}"
    assert picture(one, two) == before


def test_bridge_that_is_none_is_untouched(cni: Cni, container: Space) -> None:
    """A link of the bridge's name that is no bridge is an error, and it stays."""
    run("ip", "link", "add", "br0", "type", "veth", "peer", "name", "br1")
    before = picture(container)
    error = cni.refused("bridge", "ADD", conf(), netns=container)
    assert error["msg"] == 'use bridge br0: "br0" already exists but is not a bridge'
    assert picture(container) == before
