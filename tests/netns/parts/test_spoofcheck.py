# SPDX-License-Identifier: Apache-2.0
"""macspoofchk: two rules, whatever the number of ports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import nft_objects, run
from netns.bridge.helpers import layer2

from cni_common import spoofcheck
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError

if TYPE_CHECKING:
    from lab import Cni, Host

OWNER = Attachment("net", "c1", "eth0")
FIRST, SECOND = "02:00:00:00:00:01", "02:00:00:00:00:02"


def elements(name: str) -> list[object]:
    """Return the members of a set, as nft lists them."""
    (found,) = nft_objects("set", "bridge", "cnipy_spoofcheck", name)
    return sorted(found["set"].get("elem", []), key=str)


def rules() -> int:
    """Return how many rules there are."""
    listed = nft_objects("table", "bridge", "cnipy_spoofcheck")
    return sum("rule" in item for item in listed)


def test_rules_do_not_grow_with_ports(cni: Cni, host: Host) -> None:
    """Five guarded ports are five elements of each set, under two rules."""
    for number in range(5):
        wanted = layer2(macspoofchk=True)
        cni.ok("bridge", "ADD", wanted, netns=host.space(), container_id=f"c{number}")
    assert (len(elements("guarded")), len(elements("bound")), rules()) == (5, 5, 2)


@pytest.mark.usefixtures("host")
def test_flushed_ruleset_is_restored_by_the_next() -> None:
    """After `nft flush ruleset` the next port brings back those of all."""
    spoofcheck.ensure("veth1", FIRST, OWNER)
    run("nft", "flush", "ruleset")
    spoofcheck.ensure("veth2", SECOND, OWNER)
    assert elements("guarded") == ["veth1", "veth2"]
    assert elements("bound") == [
        {"elem": {"val": {"concat": [link, mac]}, "comment": "net c1 eth0"}}
        for link, mac in (("veth1", FIRST), ("veth2", SECOND))
    ]
    assert rules() == 2


@pytest.mark.usefixtures("host")
def test_release_leaves_the_other_ports() -> None:
    """One port is released, the other stays guarded; the last one takes the table."""
    spoofcheck.ensure("veth1", FIRST, OWNER)
    spoofcheck.ensure("veth2", SECOND, OWNER)
    spoofcheck.release("veth1")
    assert elements("guarded") == ["veth2"]
    spoofcheck.release("veth2")
    assert nft_objects("ruleset") == []


@pytest.mark.usefixtures("host")
def test_release_of_what_is_gone() -> None:
    """Elements or tables that somebody deleted before are no error."""
    spoofcheck.ensure("veth1", FIRST, OWNER)
    spoofcheck.ensure("veth2", SECOND, OWNER)
    spoofcheck.ensure("veth3", SECOND, OWNER)
    run("nft", "delete element bridge cnipy_spoofcheck guarded { veth1 }")
    spoofcheck.release("veth1")
    run("nft", "flush", "ruleset")
    spoofcheck.release("veth2")
    spoofcheck.release("veth3")
    spoofcheck.release("veth3")
    assert nft_objects("ruleset") == []
    assert not os.path.exists("/run/cni/cnipy/spoofcheck")


@pytest.mark.usefixtures("host")
def test_unreadable_member_does_not_keep_others_unguarded() -> None:
    """A broken file of one port does not keep the rest from being restored."""
    spoofcheck.ensure("veth1", FIRST, OWNER)
    with open("/run/cni/cnipy/spoofcheck/veth9", "w", encoding="utf-8") as file:
        file.write("{")
    run("nft", "flush", "ruleset")
    spoofcheck.ensure("veth2", SECOND, OWNER)
    assert elements("guarded") == ["veth1", "veth2"]


@pytest.mark.usefixtures("host")
def test_refused_port_is_not_remembered() -> None:
    """What nft refuses is code 999 and leaves no file."""
    with pytest.raises(CNIError) as refused:
        spoofcheck.ensure("veth1", "no MAC", OWNER)
    assert refused.value.code == 999
    assert not os.path.exists("/run/cni/cnipy/spoofcheck/veth1")


@pytest.mark.usefixtures("host")
def test_check_without_a_table() -> None:
    """A port without any table is not guarded."""
    with pytest.raises(CNIError, match="check spoof protection of veth1"):
        spoofcheck.check("veth1", FIRST)
