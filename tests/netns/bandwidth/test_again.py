# SPDX-License-Identifier: Apache-2.0
"""bandwidth: the same ADD of an attachment that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import ip, run
from netns.bandwidth.helpers import ifbs, limits, node, qdiscs, redirects
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

HARM = (
    (),
    ("tc", "qdisc", "del", "dev", "VETH", "root"),
    ("tc", "filter", "del", "dev", "VETH", "ingress"),
    ("tc", "qdisc", "del", "dev", "VETH", "ingress"),
    ("tc", "qdisc", "del", "dev", "IFB", "root"),
    ("ip", "link", "set", "IFB", "down"),
    ("ip", "link", "del", "IFB"),
)


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


@pytest.mark.parametrize("harm", HARM, ids=" ".join)
def test_same_add_puts_back_what_is_missing(
    one: Attached, harm: tuple[str, ...]
) -> None:
    """It answers the same, and all is in force; what is there is left as it is."""
    result = one.call("ADD", one.conf(**limits()))
    before = (ip("link", "show", "type", "ifb"), qdiscs(one.veth))
    names = {"VETH": one.veth, "IFB": ifbs()[0]}
    if harm:
        run(*(names.get(word, word) for word in harm))
    assert one.call("ADD", one.conf(**limits())) == result
    assert redirects(one.veth) == ifbs()
    one.call("CHECK", one.conf(**limits(), prevResult=result))
    if not harm:
        assert (ip("link", "show", "type", "ifb"), qdiscs(one.veth)) == before


def test_other_limits_keep_the_mac_of_the_ifb(one: Attached) -> None:
    """ADD with other limits answers the same, and DEL leaves nothing of either."""
    before = picture(one.space)
    result = one.call("ADD", one.conf(**limits()))
    assert one.call("ADD", one.conf(**limits(rate=8_000_000))) == result
    one.call("DEL", one.conf())
    assert picture(one.space) == before


def test_same_add_for_another_link_leaves_nothing_of_the_first(
    host: Host, cni: Cni
) -> None:
    """A container that comes back in another namespace has its own ifb, and one."""
    first = node(host, cni)
    first.call("ADD", first.conf(**limits()))
    first.space.delete()
    first.cni.ok("bridge", "DEL", {**first.conf(), "type": "bridge"}, netns="")
    second = node(host, cni)
    second.call("ADD", second.conf(**limits()))
    assert redirects(second.veth) == ifbs()
    second.call("DEL", second.conf())
    assert ifbs() == []
