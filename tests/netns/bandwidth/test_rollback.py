# SPDX-License-Identifier: Apache-2.0
"""bandwidth: an ADD that fails or is killed, and the reference before or after us."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import faults
import pytest
from faults import (
    KILLED,
    Refusal,
    die_at_request,
    lose_answer,
    refuse_function,
    refuse_kernel,
    refuse_request,
)
from lab import need, run
from netns.bandwidth.helpers import attached, ifbs, limits, node, qdiscs, redirects
from pictures import picture

from cni_common.kernel import filters
from cni_common.kernel import ifbs as blocks
from cni_common.kernel import qdiscs as disciplines

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

EARLIER = limits(rate=32_000_000)
SUBNETS = limits(shapedSubnets=["10.9.0.0/16", "fd00:9::/40"])


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


def seen(one: Attached) -> dict[str, Any]:
    """Return a picture of the host with all that tc shows; ifbs get new indexes."""
    shown = picture(one.space)
    names = [one.veth, *ifbs()]
    return {key: value for key, value in shown.items() if "ifindex" not in key} | {
        f"{name} {what} {more}": _shown(what, "show", "dev", name, *more)
        for name in names
        for what, more in (
            ("qdisc", ()),
            ("class", ()),
            ("filter", ()),
            ("filter", ("ingress",)),
        )
    }


def _shown(*command: str) -> str:
    """Return what tc says, without the numbers that the kernel gives to actions."""
    return re.sub(r"\bindex \d+", "", run("tc", *command))


def refuse_each(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count the public functions of traffic control too."""
    floor = (*faults.FLOOR, blocks, disciplines, filters)
    patch.setattr(faults, "FLOOR", floor)
    refuse_function(patch, refusal)


@pytest.mark.parametrize("refuse", [refuse_each, refuse_request])
@pytest.mark.parametrize(
    ("wanted", "repeated"),
    [(limits(), False), (SUBNETS, True)],
    ids=("all", "subnets-repeated"),
)
def test_add_that_fails_anywhere_leaves_what_was(
    one: Attached,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[pytest.MonkeyPatch, Refusal], None],
    wanted: dict[str, Any],
    *,
    repeated: bool,
) -> None:
    """Whichever call fails during ADD, nothing of it stays, and a plain retry works.

    When it is a repeated ADD, the limits of the one before are in force again.
    """
    if repeated:
        one.call("ADD", one.conf(**EARLIER))
    before = seen(one)
    failed, n = [], 0
    while True:
        n += 1
        refusal = Refusal(n)
        with monkeypatch.context() as patch:
            refuse(patch, refusal)
            answer = one.cni("bandwidth", "ADD", one.conf(**wanted), netns=one.space)
        if refusal.left > 0:
            break
        assert answer.status == 1, refusal.where
        failed.append(refusal.where)
        assert seen(one) == before, (n, refusal.where, answer.stdout)
    assert answer.status == 0, answer.stdout
    assert len(failed) > 10
    one.call("CHECK", one.conf(**wanted))


@pytest.mark.parametrize("earlier", [{}, EARLIER], ids=["first", "repeated"])
@pytest.mark.parametrize("wanted", [limits(), SUBNETS, {}], ids=["all", "some", "none"])
def test_add_that_cannot_be_undone_either_is_released_by_delete(
    one: Attached,
    monkeypatch: pytest.MonkeyPatch,
    earlier: dict[str, Any],
    wanted: dict[str, Any],
) -> None:
    """What may be there stays on record, if the kernel refuses all from a call on."""
    before = seen(one)
    n, refusal = 0, Refusal(0)
    while refusal.left <= 0:
        n += 1
        if earlier:
            one.call("ADD", one.conf(**earlier))
        refusal = Refusal(n, lasting=True)
        with monkeypatch.context() as patch:
            refuse_kernel(patch, refusal)
            one.cni("bandwidth", "ADD", one.conf(**wanted), netns=one.space)
        one.call("DEL", one.conf())
        assert seen(one) == before, (n, refusal.where)
    assert n > 2 or not (earlier or wanted)


@pytest.mark.parametrize("earlier", [{}, EARLIER], ids=["first", "repeated"])
@pytest.mark.parametrize("wanted", [limits(), SUBNETS], ids=["all", "some"])
def test_add_goes_on_or_fails_where_an_answer_is_lost(
    one: Attached,
    monkeypatch: pytest.MonkeyPatch,
    earlier: dict[str, Any],
    wanted: dict[str, Any],
) -> None:
    """What was made without anybody hearing of it is in force, or undone."""
    clean = seen(one)
    n, refusal = 0, Refusal(0)
    while refusal.left <= 0:
        n += 1
        if earlier:
            one.call("ADD", one.conf(**earlier))
        before, refusal = seen(one), Refusal(n)
        with monkeypatch.context() as patch:
            lose_answer(patch, refusal)
            answer = one.cni("bandwidth", "ADD", one.conf(**wanted), netns=one.space)
        if answer.status:
            assert seen(one) == before, (n, answer.stdout)
        else:
            one.call("CHECK", one.conf(**wanted))
        one.call("DEL", one.conf())
        assert seen(one) == clean, n
    assert n > 7


@pytest.mark.parametrize(
    ("wanted", "then", "earlier"),
    [
        (limits(), "ADD", {}),
        (SUBNETS, "DEL", {}),
        (SUBNETS, "ADD", EARLIER),
        (SUBNETS, "DEL", EARLIER),
        (limits(egressRate=None, egressBurst=None), "ADD", EARLIER),
        (limits(ingressRate=None, ingressBurst=None), "DEL", EARLIER),
        ({}, "DEL", EARLIER),
    ],
)
def test_killed_add_is_undone_or_repeated(
    one: Attached,
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    then: str,
    earlier: dict[str, Any],
) -> None:
    """However late ADD is killed, DEL leaves nothing of it and another ADD works.

    Nor is anything left of the limits that it replaces.
    """
    before = seen(one)
    n, ended = 0, KILLED
    while ended == KILLED:
        n += 1
        if earlier:
            one.call("ADD", one.conf(**earlier))
        child = os.fork()
        if child == 0:
            die_at_request(monkeypatch, Refusal(n))
            answer = one.cni("bandwidth", "ADD", one.conf(**wanted), netns=one.space)
            os._exit(answer.status)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if then == "ADD":
            one.call("ADD", one.conf(**wanted))
            one.call("CHECK", one.conf(**wanted))
            assert set(redirects(one.veth)) == set(ifbs())
            assert len(ifbs()) == ("egressRate" in one.conf(**wanted))
        one.call("DEL", one.conf())
        assert seen(one) == before, n
    assert (ended, n > 4) == (0, True)


def reference(one: Attached, command: str, document: dict[str, Any]) -> str:
    """Call the Go plugin as a runtime does."""
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": one.container_id,
        "CNI_NETNS": one.space.path,
        "CNI_IFNAME": one.ifname,
        "CNI_PATH": "/usr/lib/cni",
    }
    return run(need("bandwidth"), env=env, input=json.dumps(document))


def conf(one: Attached, **keys: Any) -> dict[str, Any]:
    """Return a configuration in a version that the packaged reference speaks."""
    interfaces = [
        {key: value for key, value in link.items() if key != "mtu"}
        for link in one.result["interfaces"]
    ]
    previous = {**one.result, "cniVersion": "1.0.0", "interfaces": interfaces}
    return one.conf(cniVersion="1.0.0", prevResult=previous, **keys)


@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_what_the_reference_limited_is_released(one: Attached, netns: str) -> None:
    """DEL of a container that the reference limited removes its ifb, and its limits."""
    before = seen(one)
    reference(one, "ADD", conf(one, **limits()))
    assert len(ifbs()) == 1
    options = {} if netns == "there" else {"netns": netns}
    one.call("DEL", conf(one, **limits()), **options)
    assert ifbs() == []
    if netns == "there":
        assert seen(one) == before


def test_reference_releases_what_we_limited(one: Attached) -> None:
    """The reference's DEL finds our ifb, and ours finishes what it left."""
    one.call("ADD", conf(one, **limits()))
    reference(one, "DEL", conf(one))
    assert ifbs() == []
    one.call("DEL", conf(one))
    assert qdiscs(one.veth) == {"noqueue": {}}


def test_ours_and_the_references_limits_are_the_same(host: Host, cni: Cni) -> None:
    """tc shows the same rates, bursts and latencies for both."""
    both = [attached(cni, host.space(), container_id=name) for name in ("a", "b")]
    both[0].call("ADD", conf(both[0], **limits()))
    reference(both[1], "ADD", conf(both[1], **limits()))
    ours, theirs = (
        [qdiscs(link) for link in (one.veth, redirects(one.veth)[0])] for one in both
    )
    assert ours == theirs


def test_second_interface_of_a_container_of_the_reference(host: Host, cni: Cni) -> None:
    """Beside an ifb of the reference another interface gets one of another name."""
    space = host.space()
    theirs, ours = (attached(cni, space, ifname=name) for name in ("eth0", "eth1"))
    reference(theirs, "ADD", conf(theirs, **limits()))
    ours.call("ADD", conf(ours, **limits()))
    assert len(ifbs()) == 2
    ours.call("DEL", conf(ours))
    assert set(ifbs()) == set(redirects(theirs.veth))
