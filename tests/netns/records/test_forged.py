# SPDX-License-Identifier: Apache-2.0
"""A record that names what is another attachment's: that stays, and no call breaks."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import chains
import pytest
from chains import BEHIND, CHAIN, EVERY, Container
from lab import ip, need, run
from netns.bridge.helpers import conf, with_result
from netns.cnipy.helpers import Desk
from netns.dnsname import helpers as dnsname

from cni_common.parts import LASTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Cni, Host, Space

BRIDGE = conf(macspoofchk=True)
PTP = {"cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipam": BRIDGE["ipam"]}
VALID = [{"containerID": "other", "ifname": "eth0"}]


@pytest.fixture(params=[BRIDGE, PTP], ids=lambda each: str(each["type"]))
def wanted(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a configuration."""
    return dict(request.param)


@pytest.fixture
def pair(host: Host, cni: Cni, wanted: dict[str, Any]) -> tuple[Space, Space, Any]:
    """Two attachments, c1 and other, and the result of the latter."""
    one, other = host.space(), host.space()
    cni.ok(wanted["type"], "ADD", wanted, netns=one)
    given = {"netns": other, "container_id": "other"}
    return one, other, cni.ok(wanted["type"], "ADD", wanted, **given)


def forge(plugin: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the parts of the record of c1."""
    path = f"/run/cni/cnipy/{plugin}/net/c1@eth0"
    with open(path, encoding="utf-8") as file:
        noted = json.load(file)
    for part in noted["parts"]:
        change(part)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(noted, file)


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_what_says_it_is_another_s_stays(
    cni: Cni, wanted: dict[str, Any], pair: tuple[Space, Space, Any], verb: str
) -> None:
    """Neither link nor spoof protection of the other goes by name and MAC."""
    plugin, (one, other, result) = wanted["type"], pair
    end = next(i for i in result["interfaces"] if "veth" in i["name"])

    def change(part: dict[str, Any]) -> None:
        if part["part"] == "veth":
            part.update(host=end["name"], hostMac=end["mac"])
        if part["part"] == "spoof_guard":
            part["port"] = end["name"]

    forge(plugin, change)
    if verb == "DEL":
        cni.ok(plugin, "DEL", wanted, netns=one)
    else:
        cni.ok(plugin, "GC", {**wanted, "cni.dev/valid-attachments": VALID})
    given = {"netns": other, "container_id": "other"}
    cni.ok(plugin, "CHECK", with_result(wanted, result), **given)


@pytest.mark.parametrize("kind", ["__init__", "..", "\ufb01", "a" * 5000, ""])
@pytest.mark.parametrize("verb", ["DEL", "CHECK"])
def test_a_part_of_no_kind_is_told_and_passed_over(
    cni: Cni, wanted: dict[str, Any], container: Space, kind: str, verb: str
) -> None:
    """A module that has no part is none, whatever can be imported by its name."""
    result = cni.ok(wanted["type"], "ADD", wanted, netns=container)
    forge(wanted["type"], lambda part: part.update(part=kind))
    document = with_result(wanted, result)
    answer = cni(wanted["type"], verb, document, netns=container)
    assert answer.status == 0, answer.stdout + answer.stderr
    assert "is not a part" in answer.stderr
    assert "Traceback" not in answer.stderr
    cni.ok(wanted["type"], "DEL", wanted, netns=container)
    assert not [link for link in ip("link") if "veth" in link["ifname"]]
    assert "cnipy" not in run("nft", "list", "tables")


@pytest.mark.parametrize(
    "member",
    [
        {"mtu": 2**40},
        {"routes": [{"dst": "10.0.0.0/8", "priority": 2**40}]},
        {"routes": [{"dst": "10.0.0.0/8", "table": 2**40}]},
        {"routes": [{"dst": "10.0.0.0/8", "scope": 256}]},
    ],
    ids=str,
)
def test_numbers_that_the_kernel_cannot_take_are_damage(
    cni: Cni, wanted: dict[str, Any], container: Space, member: dict[str, Any]
) -> None:
    """They are found when the record is read, not when they are used."""
    cni.ok(wanted["type"], "ADD", wanted, netns=container)
    forge(wanted["type"], lambda part: part.update(member))
    answer = cni(wanted["type"], "ADD", wanted, netns=container)
    assert answer.document["msg"] == "add interface eth0: it already exists"
    assert "is not a number of" in answer.stderr


@pytest.fixture
def attached(host: Host, cni: Cni) -> Iterator[dict[str, Container]]:
    """Who is attached by each plugin: one by the whole chain, others by one each."""
    need("dnsmasq")
    chains.prepare(host)
    chained = Container(cni, host.space(), 1)
    found = dict.fromkeys(CHAIN, chained)
    for plugin in sorted(set(EVERY) - set(CHAIN)):
        # Who is behind another one has that, too: it is not the same container.
        number = 2 if plugin in BEHIND else 1
        found[plugin] = Container(cni, host.space(), number)
    for plugin, it in found.items():
        it.add(*(() if plugin in CHAIN else chains.earlier(plugin)), plugin)
    yield found
    for number in dnsname.pids():
        dnsname.kill(number)


def forge_foreign(it: Container, plugin: str, others: Container, other: str) -> bool:
    """Add the parts of the `other` plugin to a record; tell whether there are any.

    Those that DEL does not read do not count.
    """
    own, foreign = read(it, plugin), read(others, other)
    passed = LASTING.union(part["part"] for part in own["parts"])
    added = [part for part in foreign["parts"] if part["part"] not in passed]
    place = "former" if plugin < other else "parts"
    own[place] = [*own.get(place, []), *added]
    with open(path_of(it, plugin), "w", encoding="utf-8") as file:
        json.dump(own, file)
    return bool(added)


def read(it: Container, plugin: str) -> dict[str, Any]:
    """Return a record."""
    with open(path_of(it, plugin), encoding="utf-8") as file:
        noted: dict[str, Any] = json.load(file)
    return noted


def path_of(it: Container, plugin: str) -> str:
    """Return where the record is."""
    network = chains.conf(plugin, it.number)["name"]
    return f"/run/cni/cnipy/{plugin}/{network}/{it.id}@{it.ifname(plugin)}"


@pytest.mark.slow
def test_a_part_of_another_plugin_is_told_and_passed_over(
    attached: dict[str, Container], host: Host, cni: Cni, tmp_path: Path
) -> None:
    """A record that has a valid one is damaged; the other plugin's things stay."""
    desk = Desk(host, cni, tmp_path)
    for plugin, other in itertools.permutations(attached, 2):
        it = attached[plugin]
        if not forge_foreign(it, plugin, attached[other], other):
            continue
        for words in ("show", "repair"):
            assert "Traceback" not in desk(words)[2], (plugin, other)
        assert "Traceback" not in it.call("CHECK", plugin).stderr, (plugin, other)
        answer = it.call("DEL", plugin)
        assert answer.status == 0, (plugin, other, answer.stdout)
        assert f"is not a part of {plugin}" in answer.stderr, (plugin, other)
        if plugin == "bridge":
            it.delete(*CHAIN)
            it.add(*CHAIN)
        else:
            checked = attached[other].call("CHECK", other)
            assert checked.status == 0, (plugin, other, checked.stdout)
            # Routes that no record tells of come back with what made them.
            earlier = chains.earlier(plugin) if plugin in BEHIND else ()
            it.delete(*earlier)
            it.add(*earlier, plugin)
