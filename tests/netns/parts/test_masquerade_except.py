# SPDX-License-Identifier: Apache-2.0
"""ipMasqExcept: destinations that see the container's own address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lab import nft_objects, run
from netns.bridge.helpers import DUAL, conf
from netns.parts.masquerading import masqueraded, seen_source
from pictures import files

if TYPE_CHECKING:
    from lab import Cni, Host, Space

PLUGINS = ("bridge", "ptp")
NODE, NODE6 = "198.51.100.1", "2001:db8:99::1"
NEAR, NEAR6 = "198.51.100.2", "2001:db8:99::2"
FAR, FAR6 = "198.51.100.200", "2001:db8:99::f00"
EXCEPT = ["198.51.100.0/25", "2001:db8:99::/120", "198.51.100.0/26", "192.0.2.0/24"]


def wanted(plugin: str, exempt: list[str] | None, **keys: Any) -> dict[str, Any]:
    """Return a configuration of both families that masquerades, but towards some."""
    return conf(type=plugin, ipam=DUAL, ipMasq=True, ipMasqExcept=exempt, **keys)


@pytest.fixture
def outside(host: Host) -> Space:
    """A neighbour of the node that has two addresses of each family."""
    space = host.outside()
    at = ("ip", "-n", space.name)
    link = space.ip("link", "show")[1]["ifname"]
    run(*at, "addr", "add", f"{FAR}/24", "dev", link)
    run(*at, "addr", "add", f"{FAR6}/64", "dev", link, "nodad")
    run(*at, "route", "add", "10.1.2.0/24", "via", NODE)
    run(*at, "-6", "route", "add", "fd00:1::/64", "via", NODE6)
    return space


@pytest.mark.parametrize("plugin", PLUGINS)
def test_exempted_destinations_see_the_true_source(
    host: Host, cni: Cni, outside: Space, plugin: str
) -> None:
    """Both families, side by side with destinations that see the node's address."""
    one = host.space()
    result = cni.ok(plugin, "ADD", wanted(plugin, EXCEPT), netns=one)
    for target, source in ((NEAR, "10.1.2.2"), (FAR, NODE)):
        assert seen_source(one, "10.1.2.2", outside, target) == source
    for target, source in ((NEAR6, "fd00:1::2"), (FAR6, NODE6)):
        assert seen_source(one, "fd00:1::2", outside, target) == source
    assert len(masqueraded()) == 2
    previous = {**wanted(plugin, EXCEPT), "prevResult": result}
    cni.ok(plugin, "CHECK", previous, netns=one)
    error = cni.refused(
        plugin, "CHECK", {**previous, "ipMasqExcept": ["10.9.0.0/16"]}, netns=one
    )
    cause = "check masquerade of 10.1.2.0/24: 10.9.0.0/16 is not exempted"
    assert (error["code"], error["msg"]) == (999, cause)
    cni.ok(plugin, "DEL", previous, netns=one)
    assert (nft_objects("ruleset"), files()) == ([], {})


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("family", (4, 6))
def test_one_family_alone_is_masqueraded(
    host: Host, cni: Cni, outside: Space, plugin: str, family: int
) -> None:
    """::/0 or 0.0.0.0/0 in the list means: not that family."""
    one = host.space()
    exempt = ["::/0"] if family == 4 else ["0.0.0.0/0", "10.9.0.0/16"]
    result = cni.ok(plugin, "ADD", wanted(plugin, exempt), netns=one)
    seen = seen_source(one, "10.1.2.2", outside, NEAR)
    assert seen == (NODE if family == 4 else "10.1.2.2")
    seen = seen_source(one, "fd00:1::2", outside, NEAR6)
    assert seen == (NODE6 if family == 6 else "fd00:1::2")
    previous = {**wanted(plugin, exempt), "prevResult": result}
    cni.ok(plugin, "CHECK", previous, netns=one)
    cni.ok(plugin, "DEL", previous, netns=one)
    assert (nft_objects("ruleset"), files()) == ([], {})


def test_networks_that_share_a_subnet(cni: Cni, host: Host, outside: Space) -> None:
    """Each gets what it asked for, in one rule; it goes with the last that asked."""
    spaces = [host.space() for _ in range(4)]
    lists = (None, ["198.51.100.2/32"], ["198.51.100.200/32"], ["198.51.100.2/32"])
    ipam = {**DUAL, "ranges": DUAL["ranges"][:1], "routes": [{"dst": "0.0.0.0/0"}]}
    confs = []
    for number, (space, exempt) in enumerate(zip(spaces, lists, strict=True)):
        one = wanted("bridge", exempt, name="net" if number < 2 else f"net{number}")
        pool = {"subnet": "10.1.2.0/24", "rangeStart": f"10.1.2.{10 * number + 2}"}
        one["ipam"] = {**ipam, "ranges": [[pool]]}
        cni.ok("bridge", "ADD", one, netns=space, container_id=f"c{number}")
        confs.append(one)
    assert masqueraded() == [
        "subnet 10.1.2.0/24 except 198.51.100.200/32 198.51.100.2/32"
    ]
    assert seen_source(spaces[0], "10.1.2.2", outside, NEAR) == "10.1.2.2"
    assert seen_source(spaces[0], "10.1.2.2", outside, FAR) == "10.1.2.2"
    for number in (2, 1):
        gone = spaces[number]
        cni.ok("bridge", "DEL", confs[number], netns=gone, container_id=f"c{number}")
    assert masqueraded() == ["subnet 10.1.2.0/24 except 198.51.100.2/32"]
    assert seen_source(spaces[0], "10.1.2.2", outside, FAR) == NODE
    run("nft", "flush", "ruleset")
    again = {**confs[3], "name": "again", "ipMasqExcept": []}
    cni.ok("bridge", "ADD", again, netns=host.space(), container_id="c9")
    assert masqueraded() == ["subnet 10.1.2.0/24 except 198.51.100.2/32"]
    gc = {"cniVersion": "1.1.0", "type": "bridge", "cni.dev/valid-attachments": []}
    cni.ok("bridge", "GC", {**gc, "name": "net3"})
    assert masqueraded() == ["subnet 10.1.2.0/24"]


def test_long_list_is_one_rule(cni: Cni, container: Space) -> None:
    """A list that no comment can hold has a comment of its own all the same."""
    exempt = [f"10.{number}.0.0/16" for number in range(20, 100, 2)]
    cni.ok("bridge", "ADD", wanted("bridge", exempt), netns=container)
    comment = next(text for text in masqueraded() if "10.1.2.0" in text)
    assert comment.startswith("subnet 10.1.2.0/24 except ")
    assert len(comment) < 128
    listed = run("nft", "list", "table", "inet", "cnipy_masquerade")
    assert "10.98.0.0/16" in listed


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("value", ["10.9.0.0", "10.9.0.0/33", "word", ""])
def test_no_network_is_code_7(
    cni: Cni, container: Space, plugin: str, value: str
) -> None:
    """The message names key and value, and nothing was changed."""
    error = cni.refused(plugin, "ADD", wanted(plugin, ["::/0", value]), netns=container)
    assert error["code"] == 7
    assert "ipMasqExcept.1: " in error["msg"]
    assert repr(value) in error["msg"]
    assert (nft_objects("ruleset"), files()) == ([], {})
