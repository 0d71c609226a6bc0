# SPDX-License-Identifier: Apache-2.0
"""bandwidth on a link where an agent of the host filters what comes in."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bandwidth.helpers import (
    attached,
    ifbs,
    limits,
    qdiscs,
    redirects,
    seconds,
    tc,
)
from pictures import picture

from cni_common import state

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

MATCH = ("u32", "match", "ip", "dst", "192.0.2.9/32", "flowid", "1:1")
THEIRS = ("protocol", "ip", "pref", "1", *MATCH)


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge, without limits yet."""
    return attached(cni, host.space())


def ingress(link: str) -> list[dict[str, Any]]:
    """Return the filters of what comes in by `link`."""
    return tc("filter", "show", "dev", link, "ingress")


@pytest.mark.parametrize("kind", ["ingress", "clsact"])
@pytest.mark.parametrize("filtered", [False, True])
def test_limit_shares_the_discipline_of_somebody_else(
    one: Attached, kind: str, *, filtered: bool
) -> None:
    """The filter goes into what is there, and goes again; all the rest stays."""
    run("tc", "qdisc", "add", "dev", one.veth, kind)
    if filtered:
        run("tc", "filter", "add", "dev", one.veth, "ingress", *THEIRS)
    before = (picture(one.space), tc("qdisc", "show"), ingress(one.veth))
    for _ in range(2):
        result = one.call("ADD", one.conf(**limits()))
        assert redirects(one.veth)[-1] == ifbs()[0]
        one.call("CHECK", one.conf(**limits(), prevResult=result))
    one.call("DEL", one.conf(**limits()))
    assert (picture(one.space), tc("qdisc", "show"), ingress(one.veth)) == before


def test_limit_is_in_force_behind_filters_of_others(one: Attached) -> None:
    """Filters of others see all packets first, and what they leave is limited."""
    run("tc", "qdisc", "add", "dev", one.veth, "clsact")
    run("tc", "filter", "add", "dev", one.veth, "ingress", *THEIRS)
    one.call("ADD", one.conf(egressRate=16_000_000, egressBurst=400_000))
    order = list(dict.fromkeys(item["pref"] for item in ingress(one.veth)))
    assert order[0] == 1
    assert order[1] > 49152  # where the kernel begins to number by itself
    assert seconds(one.space, None, "10.1.2.1") > 0.4


def test_discipline_of_ours_stays_while_others_filter_there(one: Attached) -> None:
    """DEL takes its own filter away; the discipline remains for who joined it."""
    one.call("ADD", one.conf(**limits()))
    run("tc", "filter", "add", "dev", one.veth, "ingress", *THEIRS)
    one.call("DEL", one.conf(**limits()))
    assert "ingress" in qdiscs(one.veth)
    assert {item["pref"] for item in ingress(one.veth)} == {1}
    assert ifbs() == []


def test_failed_add_leaves_the_discipline_of_somebody_else(one: Attached) -> None:
    """An ADD that is refused for another reason takes nothing of theirs away."""
    run("tc", "qdisc", "add", "dev", one.veth, "clsact")
    theirs = ("protocol", "ip", "pref", "65283", *MATCH)
    run("tc", "filter", "add", "dev", one.veth, "ingress", *theirs)
    before = (picture(one.space), tc("qdisc", "show"), ingress(one.veth))
    one.refused("ADD", one.conf(**limits()))
    assert (picture(one.space), tc("qdisc", "show"), ingress(one.veth)) == before


def test_check_misses_its_filter_beside_those_of_others(one: Attached) -> None:
    """Somebody who flushes the filters takes the limit along, and CHECK says so."""
    run("tc", "qdisc", "add", "dev", one.veth, "clsact")
    result = one.call("ADD", one.conf(**limits()))
    run("tc", "filter", "del", "dev", one.veth, "ingress")
    error = one.refused("CHECK", one.conf(**limits(), prevResult=result))
    message = f"check limits: missing filters u32 of link {one.veth}: 1 of 1"
    assert error["msg"] == message


def test_filter_is_found_without_a_record(one: Attached) -> None:
    """With the records lost DEL takes away what leads to the ifb, and no more."""
    run("tc", "qdisc", "add", "dev", one.veth, "clsact")
    run("tc", "filter", "add", "dev", one.veth, "ingress", *THEIRS)
    before = ingress(one.veth)
    one.call("ADD", one.conf(**limits()))
    shutil.rmtree(state.ROOT)
    one.call("DEL", one.conf(**limits()))
    assert (ingress(one.veth), ifbs()) == (before, [])
    assert "tbf" not in qdiscs(one.veth)
