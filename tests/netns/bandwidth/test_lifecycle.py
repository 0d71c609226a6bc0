# SPDX-License-Identifier: Apache-2.0
"""bandwidth: DEL, CHECK, GC and STATUS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from lab import run
from netns.bandwidth.helpers import attached, ifbs, limits, node, qdiscs, redirects
from pictures import files, picture

from cni_common import state
from cni_common.kernel import qdiscs as seam
from cni_common.spec.values import replace

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")
SUBNETS = limits(unshapedSubnets=["10.9.0.0/16", "fd00:9::/40"])


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


def gc(one: Attached, key: str, *valid: tuple[str, str], **more: Any) -> None:
    """Call GC of the network of `one`."""
    listed = [{"containerID": cid, "ifname": ifname} for cid, ifname in valid]
    document = one.conf(prevResult=None, **{key: listed}, **more)
    one.cni.ok("bandwidth", "GC", document)


@pytest.mark.parametrize(
    "keys",
    (
        limits(),
        {},
        {"prevResult": None},
        {"ingressRate": "nonsense", "runtimeConfig": 7},
        limits(rate=999_999),
        {"prevResult": {"interfaces": "nonsense"}},
    ),
)
@pytest.mark.parametrize("wanted", (limits(), SUBNETS), ids=("all", "subnets"))
@pytest.mark.parametrize("netns", ("there", "", "/run/netns/gone"))
def test_delete_leaves_nothing(
    one: Attached, wanted: dict[str, Any], keys: dict[str, Any], netns: str
) -> None:
    """DEL lifts what ADD did whatever it is told by then, and again it succeeds."""
    before = picture(one.space)
    one.call("ADD", one.conf(**wanted))
    options = {} if netns == "there" else {"netns": netns}
    for _ in range(2):
        assert one.call("DEL", one.conf(**keys), **options) is None
        assert picture(one.space) == before
        assert qdiscs(one.veth) == {"noqueue": {}}


@pytest.mark.parametrize("netns", ("there", "/run/netns/gone"))
def test_delete_without_a_record_finds_the_ifb(one: Attached, netns: str) -> None:
    """With its record lost DEL still removes the ifb, and the limits on a live link."""
    one.call("ADD", one.conf(**limits()))
    os.unlink(f"{state.ROOT}/bandwidth/net/c1@eth0")
    options = {} if netns == "there" else {"netns": netns}
    one.call("DEL", one.conf(), **options)
    assert ifbs() == []
    if netns == "there":
        assert qdiscs(one.veth) == {"noqueue": {}}


@pytest.mark.parametrize("how", ("link", "container"))
def test_delete_after_the_link_leaves_nothing(one: Attached, how: str) -> None:
    """When the container's own plugin was faster, DEL removes the rest."""
    one.call("ADD", one.conf(**limits()))
    if how == "link":
        run("ip", "link", "del", one.veth)
    else:
        one.space.delete()
    one.call("DEL", one.conf(), netns="")
    assert ifbs() == []
    assert not any("bandwidth" in path for path in files())


def test_delete_spares_the_next_owner_of_a_name(one: Attached) -> None:
    """A link that has the recorded name but another index is not touched."""
    one.call("ADD", one.conf(**limits()))
    run("ip", "link", "del", one.veth)
    run("ip", "link", "add", one.veth, "type", "veth", "peer", "name", "other")
    limit = ("root", "handle", "1:", "tbf", "rate", "1mbit", "burst", "9k")
    run("tc", "qdisc", "add", "dev", one.veth, *limit, "latency", "9ms")
    one.call("DEL", one.conf())
    assert qdiscs(one.veth).keys() == {"tbf"}


def test_delete_of_the_unknown_succeeds(one: Attached) -> None:
    """DEL of a container without limits changes nothing, not even another's limits."""
    one.call("ADD", one.conf(**limits()))
    before = (picture(one.space), qdiscs(one.veth), redirects(one.veth))
    for identity in ({"container_id": "c9"}, {"ifname": "eth9"}):
        one.call("DEL", one.conf(), **identity)
        one.call("DEL", one.conf(), **identity, netns="")
    assert (picture(one.space), qdiscs(one.veth), redirects(one.veth)) == before


HARM = (
    (("tc", "qdisc", "del", "dev", "VETH", "root"), "missing qdisc tbf of link VETH"),
    (
        ("tc", "qdisc", "del", "dev", "VETH", "ingress"),
        "missing qdisc ingress of link VETH",
    ),
    (
        ("tc", "filter", "del", "dev", "VETH", "ingress"),
        "missing filters u32 of link VETH: 1 of 1",
    ),
    (("ip", "link", "del", "IFB"), "missing ifb IFB or "),
    (("ip", "link", "set", "IFB", "down"), "ifb IFB is down"),
    (("tc", "qdisc", "del", "dev", "IFB", "root"), "missing qdisc tbf of link IFB"),
    (
        (
            *("tc", "qdisc", "change", "dev", "VETH", "root", "handle", "1:", "tbf"),
            *("rate", "8mbit", "burst", "50000", "latency", "25ms"),
        ),
        "qdisc tbf of link VETH has rate 1000000, not 2000000 bytes a second",
    ),
    (
        (
            *("tc", "qdisc", "change", "dev", "IFB", "root", "handle", "1:", "tbf"),
            *("rate", "16mbit", "burst", "40000", "latency", "25ms"),
        ),
        "qdisc tbf of link IFB has burst 312500, not 390625 ticks of 64 ns",
    ),
    (("rm", f"{state.ROOT}/bandwidth/net/c1@eth0"), "missing record of ADD"),
)


@pytest.mark.parametrize(("harm", "missing"), HARM)
def test_check_names_what_is_missing(
    one: Attached, harm: tuple[str, ...], missing: str
) -> None:
    """CHECK passes after ADD, and names the one thing that somebody changed."""
    result = one.call("ADD", one.conf(**limits()))
    document = one.conf(**limits(), prevResult=result)
    one.call("CHECK", document)
    names = {"VETH": one.veth, "IFB": ifbs()[0]}
    run(*(names.get(word, word) for word in harm))
    for word, name in names.items():
        missing = missing.replace(word, name)
    error = one.refused("CHECK", document)
    assert error["code"] == 999
    assert error["msg"].startswith(f"check limits: {missing}")


SUBNET_HARM = (
    (("filter", "del", "dev", "VETH", "parent", "1:"), "missing filters u32 of link"),
    (
        ("filter", "del", "dev", "VETH", "ingress", "pref", "65282"),
        "missing filters u32",
    ),
    (("qdisc", "del", "dev", "VETH", "parent", "1:30"), "missing qdisc bfifo of link"),
    (
        (
            *("class", "change", "dev", "VETH", "classid", "1:30", "htb"),
            *("rate", "8mbit", "burst", "50000"),
        ),
        "class htb 1:30 of link",
    ),
    (("qdisc", "del", "dev", "VETH", "root"), "missing qdisc htb of link"),
)


@pytest.mark.parametrize(("harm", "missing"), SUBNET_HARM)
def test_check_covers_subnets(
    one: Attached, harm: tuple[str, ...], missing: str
) -> None:
    """CHECK looks at the class, its queue and the filters of subnets as well."""
    one.call("ADD", one.conf(**SUBNETS))
    one.call("CHECK", one.conf(**SUBNETS))
    run("tc", *(one.veth if word == "VETH" else word for word in harm))
    error = one.refused("CHECK", one.conf(**SUBNETS))
    assert error["msg"].startswith(f"check limits: {missing}")


def test_check_compares_with_the_configuration(one: Attached) -> None:
    """Limits that are not those of the configuration fail, none asked for passes."""
    one.call("ADD", one.conf(**limits()))
    for wanted in (limits(rate=8_000_000), SUBNETS):
        assert one.refused("CHECK", one.conf(**wanted))["code"] == 999
    one.call("CHECK", one.conf())


def test_check_tolerates_another_mtu(one: Attached) -> None:
    """A plugin behind this one may change the MTU."""
    one.call("ADD", one.conf(**limits(burst=8)))
    run("ip", "link", "set", one.veth, "mtu", "1400")
    one.call("CHECK", one.conf(**limits(burst=8)))


@pytest.mark.parametrize("key", KEYS)
def test_gc_removes_what_is_not_valid(host: Host, cni: Cni, key: str) -> None:
    """GC keeps the valid attachment and other networks, and removes the rest."""
    every = {
        name: attached(cni, host.space(), container_id=name, network=network)
        for name, network in (("c1", "net"), ("c2", "net"), ("c3", "net-2"))
    }
    for one in every.values():
        one.call("ADD", one.conf(**limits()))
    kept = sorted(redirects(every[name].veth)[0] for name in ("c1", "c3"))
    gc(every["c1"], key, ("c1", "eth0"), ("c2", "eth1"))
    assert ifbs() == kept
    assert qdiscs(every["c2"].veth) == {"noqueue": {}}
    for name in ("c1", "c3"):
        every[name].call("CHECK", every[name].conf(**limits()))


def test_gc_finds_ifbs_without_a_record(one: Attached) -> None:
    """An ifb says whose it is; GC needs no record, and leaves what says nothing."""
    one.call("ADD", one.conf(**limits()))
    os.unlink(f"{state.ROOT}/bandwidth/net/c1@eth0")
    run("ip", "link", "add", "bwp0123456789ab", "type", "ifb")
    gc(one, KEYS[0], ("c1", "eth0"))
    assert len(ifbs()) == 2
    gc(one, KEYS[0])
    assert ifbs() == ["bwp0123456789ab"]


@pytest.mark.parametrize(("listed", "status"), ((None, 0), ("all", 1), ([7], 1)))
def test_gc_without_a_list_deletes_nothing(
    one: Attached, listed: object, status: int
) -> None:
    """GC with no list, or with what is none, leaves everything."""
    one.call("ADD", one.conf(**limits()))
    before = (picture(one.space), qdiscs(one.veth))
    document = one.conf(prevResult=None, **{KEYS[0]: listed})
    assert one.cni("bandwidth", "GC", document).status == status
    assert (picture(one.space), qdiscs(one.veth)) == before


@pytest.mark.parametrize("keys", ({}, limits(), SUBNETS))
def test_status_leaves_no_trace(one: Attached, keys: dict[str, Any]) -> None:
    """STATUS succeeds where limits can be set, and the host stays as it was."""
    before = picture(one.space)
    one.cni.ok("bandwidth", "STATUS", one.conf(prevResult=None, **keys))
    assert picture(one.space) == before


def test_status_says_what_the_kernel_lacks(
    one: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a discipline is not to be had, STATUS is code 50 and names it."""
    real = seam._add

    def lacking(netlink: Any, link: Any, wanted: seam.Qdisc, options: bytes) -> None:
        kind = "notbf" if wanted.kind == "tbf" else wanted.kind
        real(netlink, link, replace(wanted, kind=kind), options)

    monkeypatch.setattr(seam, "_add", lacking)
    error = one.cni.refused("bandwidth", "STATUS", one.conf(prevResult=None))
    assert error["code"] == 50
    assert error["msg"].startswith("add qdisc notbf to link trial: ")


def test_status_refuses_a_contradiction(one: Attached) -> None:
    """STATUS of a configuration that ADD would refuse is code 7."""
    document = one.conf(prevResult=None, ingressRate=8000)
    assert one.cni.refused("bandwidth", "STATUS", document)["code"] == 7
