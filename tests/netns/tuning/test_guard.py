# SPDX-License-Identifier: Apache-2.0
"""bridge with macspoofchk, and tuning behind it that gives another MAC."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, nft_objects
from netns.bridge.helpers import conf
from pictures import picture

from cni_common import spoofcheck, state
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from lab import Cni, Host, Space

BRIDGE = conf(macspoofchk=True)
FIRST, SECOND = "02:00:00:00:00:11", "02:00:00:00:00:12"


class Chain:
    """A container on the bridge, for which tuning is called again and again."""

    def __init__(self, cni: Cni, space: Space) -> None:
        self.cni, self.space = cni, space
        self.first = cni.ok("bridge", "ADD", BRIDGE, netns=space)
        self.mac = str(self.first["interfaces"][2]["mac"])
        self.result = self.first

    def conf(self, plugin: dict[str, Any], previous: Any) -> dict[str, Any]:
        """Return what a runtime sends to a plugin of the chain."""
        return {**plugin, "prevResult": previous}

    def tune(self, **keys: Any) -> None:
        """Call ADD of tuning, which must succeed."""
        plugin = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", **keys}
        wanted = self.conf(plugin, self.first)
        self.result = self.cni.ok("tuning", "ADD", wanted, netns=self.space)

    def untune(self, netns: Space | str) -> None:
        """Call DEL of tuning, which must succeed."""
        plugin = {"cniVersion": "1.1.0", "name": "net", "type": "tuning"}
        self.cni.ok("tuning", "DEL", self.conf(plugin, self.result), netns=netns)

    def bound(self) -> list[str]:
        """Return the MACs that a port may send from, as nft lists them."""
        found = nft_objects("set", "bridge", "cnipy_spoofcheck", "bound")
        elements = found[0]["set"].get("elem", [])
        keys = [e["elem"]["val"] if "elem" in e else e for e in elements]
        return sorted(key["concat"][1] for key in keys)


@pytest.fixture
def chain(cni: Cni, host: Host) -> Chain:
    """A container whose MAC nobody has changed yet."""
    return Chain(cni, host.space())


def speaks(space: Space) -> bool:
    """Tell whether the gateway answers; a busy machine may need another request."""
    return any(space.reaches("10.1.2.1") for _ in range(3))


def test_guard_follows_the_mac(chain: Chain, cni: Cni) -> None:
    """Traffic passes with the new MAC and no other, and each CHECK accepts it."""
    chain.tune(mac=FIRST)
    assert chain.bound() == [FIRST]
    assert speaks(chain.space)
    wanted = chain.conf(BRIDGE, chain.result)
    cni.ok("bridge", "CHECK", wanted, netns=chain.space)
    at = ("ip", "link", "set", "eth0", "address")
    chain.space.run(*at, chain.mac)
    assert not chain.space.reaches("10.1.2.1")
    chain.space.run(*at, FIRST)
    for mac in (SECOND, chain.mac):  # another wish, then none
        chain.tune(**({"mac": mac} if mac == SECOND else {"promisc": True}))
        assert chain.bound() == [mac]
        assert speaks(chain.space)
    chain.tune(runtimeConfig={"mac": FIRST}, capabilities={"mac": True})
    assert chain.bound() == [FIRST]
    chain.untune(chain.space)
    assert chain.bound() == [chain.mac]
    assert speaks(chain.space)
    cni.ok("bridge", "DEL", wanted, netns=chain.space)
    assert nft_objects("ruleset") == []


def test_guard_follows_though_the_records_are_lost(chain: Chain) -> None:
    """The container is not mute with its new MAC when nobody remembers the guard."""
    shutil.rmtree(state.ROOT)
    chain.tune(mac=FIRST)
    assert chain.bound() == [FIRST]
    assert speaks(chain.space)


def test_namespace_that_is_gone(chain: Chain, cni: Cni) -> None:
    """DEL of both leaves no guard, whatever the MAC was when the container died."""
    chain.tune(mac=FIRST)
    chain.space.delete()
    chain.untune(chain.space)
    cni.ok("bridge", "DEL", chain.conf(BRIDGE, chain.result), netns=chain.space)
    assert nft_objects("ruleset") == []


@pytest.mark.parametrize("when", ("before", "after"))
def test_failure_leaves_the_guard(
    chain: Chain, cni: Cni, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """An ADD of tuning that fails has neither the MAC nor the guard changed."""
    before = picture(chain.space)
    rebind = spoofcheck.rebind
    calls: list[str] = []

    def refuse(link: str, mac: str, owner: Any) -> None:
        calls.append(mac)
        if len(calls) > 1 or when == "after":
            rebind(link, mac, owner)
        if len(calls) == 1:
            raise CNIError(Code.INTERNAL, "refused by the test")

    monkeypatch.setattr(spoofcheck, "rebind", refuse)
    plugin = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", "mac": FIRST}
    wanted = chain.conf(plugin, chain.first)
    error = cni.refused("tuning", "ADD", wanted, netns=chain.space)
    assert error["msg"] == "refused by the test"
    assert calls == [FIRST, chain.mac]
    after = picture(chain.space)
    rules = ("rules",)
    assert {k: v for k, v in after.items() if k not in rules} == {
        k: v for k, v in before.items() if k not in rules
    }
    assert chain.bound() == [chain.mac]
    assert speaks(chain.space)


def test_other_ports_are_left_alone(chain: Chain, cni: Cni, host: Host) -> None:
    """The guard of another container stays, and one without a guard gets none."""
    other, open_ = host.space(), host.space()
    result = cni.ok("bridge", "ADD", BRIDGE, netns=other, container_id="c2")
    chain.tune(mac=FIRST)
    assert chain.bound() == sorted([FIRST, result["interfaces"][2]["mac"]])
    plain = cni.ok("bridge", "ADD", conf(), netns=open_, container_id="c3")
    plugin = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", "mac": SECOND}
    wanted = {**plugin, "prevResult": plain}
    cni.ok("tuning", "ADD", wanted, netns=open_, container_id="c3")
    assert SECOND not in chain.bound()
    assert speaks(open_)
    assert ip("link", "show", "br0")
