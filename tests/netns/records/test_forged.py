# SPDX-License-Identifier: Apache-2.0
"""A record that names what is another attachment's: that stays, and no call breaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bridge.helpers import conf, with_result

if TYPE_CHECKING:
    from collections.abc import Callable

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
