# SPDX-License-Identifier: Apache-2.0
"""bandwidth: what ADD makes, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.bandwidth.helpers import attached, ifbs, limits, node, qdiscs, redirects, tc
from pictures import picture

if TYPE_CHECKING:
    from lab import Cni, Host
    from netns.bandwidth.helpers import Attached

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
RATE = {"rate": 2_000_000, "burst": 50_000, "lat": 25_000}


@pytest.fixture
def one(host: Host, cni: Cni) -> Attached:
    """A container on a bridge."""
    return node(host, cni)


def test_both_directions_are_limited(one: Attached) -> None:
    """tbf stands at the host's end and at an ifb, where all that comes in goes."""
    result = one.call("ADD", one.conf(**limits()))
    added = result["interfaces"][-1]
    (ifb,) = ip("link", "show", added["name"])
    assert qdiscs(one.veth) == {"tbf": RATE, "ingress": {}}
    assert qdiscs(added["name"]) == {"tbf": RATE}
    assert redirects(one.veth) == [added["name"]]
    assert (
        (ifb["address"], ifb["mtu"])
        == (added["mac"], added["mtu"])
        == (
            ifb["address"],
            1500,
        )
    )
    assert "UP" in ifb["flags"]
    assert ifb["ifalias"] == "cni net c1 eth0"


def test_one_direction_leaves_the_other_alone(one: Attached) -> None:
    """Only ingress makes no ifb, only egress no root at the host's end."""
    before = one.result["interfaces"]
    document = one.conf(ingressRate=16_000_000, ingressBurst=400_000)
    assert one.call("ADD", document)["interfaces"] == before
    assert (qdiscs(one.veth), ifbs()) == ({"tbf": RATE}, [])
    document = one.conf(egressRate=16_000_000, egressBurst=400_000)
    assert len(one.call("ADD", document)["interfaces"]) == len(before) + 1
    assert qdiscs(one.veth).keys() == {"noqueue", "ingress"}


@pytest.mark.parametrize("version", VERSIONS)
def test_result_has_the_shape_of_the_version(
    host: Host, cni: Cni, version: str
) -> None:
    """Each version gets prevResult in its shape, with the ifb as its last link."""
    one = node(host, cni)
    interfaces = [
        {key: link[key] for key in ("name", "mac", "sandbox") if key in link}
        for link in one.result["interfaces"]
    ]
    family = {} if version in {"1.0.0", "1.1.0"} else {"version": "4"}
    previous = {
        "cniVersion": version,
        "interfaces": interfaces,
        "ips": [{**family, "address": "10.1.2.2/24", "interface": 2}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    if version < "1.0.0":
        previous["dns"] = {}
    document = one.conf(cniVersion=version, prevResult=previous, **limits())
    result = one.call("ADD", document)
    ifb = result["interfaces"].pop()
    (shown,) = ifbs()
    mtu = {"mtu": 1500} if version == "1.1.0" else {}
    assert ifb == {"name": shown, "mac": ifb["mac"], **mtu}
    assert result == previous


@pytest.mark.parametrize("version", ("0.1.0", "0.2.0"))
def test_version_without_interfaces_is_refused(one: Attached, version: str) -> None:
    """Before 0.3.0 a result does not say which link the host's end is."""
    document = one.conf(cniVersion=version, prevResult=None, **limits())
    assert one.refused("ADD", document)["code"] == 1


@pytest.mark.parametrize("keys", ({}, {"ingressRate": 0}, {"runtimeConfig": {}}))
def test_no_limits_make_nothing(one: Attached, keys: dict[str, Any]) -> None:
    """Without limits prevResult is handed on, and the host stays as it was."""
    before = picture(one.space)
    assert one.call("ADD", one.conf(**keys)) == one.result
    assert picture(one.space) == before
    assert qdiscs(one.veth) == {"noqueue": {}}


def test_bursts_of_containerd_are_counted_exactly(one: Attached) -> None:
    """A burst of 2^32-1 bits at a low rate is more than the kernel shows, and kept."""
    keys = {"IngressRate": 1_000_000, "IngressBurst": 4_294_967_295}
    document = one.conf(runtimeConfig={"bandwidth": keys})
    one.call("ADD", document)
    (tbf,) = tc("-s", "qdisc", "show", "dev", one.veth)
    assert tbf["options"]["rate"] == 125_000
    one.call("CHECK", document)


def test_rates_beyond_32_bits_are_kept(one: Attached) -> None:
    """A rate of 80 Gbit/s is more bytes a second than 32 bits count."""
    document = one.conf(**limits(rate=80_000_000_000, burst=80_000_000))
    one.call("ADD", document)
    assert qdiscs(one.veth)["tbf"]["rate"] == 10_000_000_000
    one.call("CHECK", document)


@pytest.mark.parametrize("rate", (8, 56, 987_654_321, 3_000_000_007, 10**13))
@pytest.mark.parametrize("burst", (8, 12_345_678, 34_359_738_359))
@pytest.mark.parametrize("subnets", ([], ["10.9.0.0/16"]))
def test_kernel_counts_as_we_reckon(
    one: Attached, rate: int, burst: int, subnets: list[str]
) -> None:
    """Whatever the numbers, the kernel takes them and CHECK finds them there."""
    document = one.conf(**limits(rate, burst, unshapedSubnets=subnets))
    one.call("ADD", document)
    one.call("CHECK", document)


def test_repeated_add_replaces_the_limits(one: Attached) -> None:
    """A second ADD has its own limits in force, and nothing twice."""
    first = one.call("ADD", one.conf(**limits()))
    second = one.call("ADD", one.conf(**limits(rate=32_000_000)))
    name = first["interfaces"][-1]["name"]
    assert [name] == ifbs() == redirects(one.veth)
    assert second["interfaces"][-1]["name"] == name
    for link in (one.veth, name):
        assert qdiscs(link)["tbf"]["rate"] == 4_000_000
    one.call("CHECK", one.conf(**limits(rate=32_000_000)))


@pytest.mark.parametrize("subnets", ("unshapedSubnets", "shapedSubnets"))
def test_repeated_add_changes_the_form(one: Attached, subnets: str) -> None:
    """Limits for some subnets and limits for all replace each other."""
    keys = limits(**{subnets: ["10.9.0.0/16", "fd00:9::/32"]})
    for wanted, kind in ((limits(), "tbf"), (keys, "htb"), (limits(), "tbf")):
        one.call("ADD", one.conf(**wanted))
        assert kind in qdiscs(one.veth)
        one.call("CHECK", one.conf(**wanted))


def test_repeated_add_without_limits_takes_them_away(one: Attached) -> None:
    """An ADD that asks for none leaves none of an earlier one."""
    before = picture(one.space)
    one.call("ADD", one.conf(**limits()))
    assert one.call("ADD", one.conf()) == one.result
    assert picture(one.space) == before
    assert qdiscs(one.veth) == {"noqueue": {}}


def test_interfaces_of_one_container_are_limited_apart(host: Host, cni: Cni) -> None:
    """Each interface has an ifb and limits of its own, and takes only those away."""
    space = host.space()
    both = [attached(cni, space, ifname=name) for name in ("eth0", "eth1")]
    rates = (16_000_000, 32_000_000)
    for one, rate in zip(both, rates, strict=True):
        one.call("ADD", one.conf(**limits(rate=rate)))
    names = [redirects(one.veth)[0] for one in both]
    assert len(set(names)) == 2
    for name, one, rate in zip(names, both, rates, strict=True):
        assert qdiscs(name)["tbf"]["rate"] == rate // 8
        one.call("CHECK", one.conf(**limits(rate=rate)))
    first, second = both
    first.call("DEL", first.conf())
    assert ifbs() == [names[1]]
    second.call("CHECK", second.conf(**limits(rate=rates[1])))
    # Who comes second got another name, and keeps it when the first one is free.
    for _ in range(2):
        second.call("ADD", second.conf(**limits()))
        assert len(ifbs()) == 1
    second.call("DEL", second.conf())
    assert ifbs() == []


def test_containers_are_limited_at_the_same_time(host: Host, cni: Cni) -> None:
    """Parallel calls for many containers do not disturb each other."""
    every = [
        attached(cni, host.space(), container_id=f"c{number}") for number in range(8)
    ]
    home = run("readlink", "/proc/self/ns/net")

    def cycle(one: Attached) -> str:
        for rate in (16_000_000, 8_000_000):
            one.call("ADD", one.conf(**limits(rate=rate)))
        one.call("CHECK", one.conf(**limits(rate=8_000_000)))
        return redirects(one.veth)[0]

    with ThreadPoolExecutor(len(every)) as pool:
        names = list(pool.map(cycle, every))
    assert sorted(names) == ifbs()
    with ThreadPoolExecutor(len(every)) as pool:
        list(pool.map(lambda one: one.call("DEL", one.conf()), every))
    assert ifbs() == []
    assert run("readlink", "/proc/self/ns/net") == home


def test_burst_below_a_frame_lets_frames_pass(one: Attached) -> None:
    """A burst that no packet fits in is raised to one frame, and the log says so."""
    one.call("ADD", one.conf(**limits(burst=8)))
    assert qdiscs(one.veth)["tbf"]["burst"] == pytest.approx(1518, abs=4)
    assert one.space.reaches("10.1.2.1")
    one.call("CHECK", one.conf(**limits(burst=8)))


REFUSED: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"ingressRate": 8000}, 7, "use ingressRate 8000: ingressBurst is missing"),
    ({"ingressRate": "8"}, 7, "parse network configuration: ingressRate: "),
    (limits(shapedSubnets=["x"]), 7, "parse network configuration: shapedSubnets.0: "),
    (limits(prevResult=None), 7, "must be called as chained plugin"),
    ({"prevResult": None}, 7, "must be called as chained plugin"),
    (
        limits(prevResult={"cniVersion": "1.1.0"}),
        999,
        "limit interface eth0: prevResult does not list veth",
    ),
)


@pytest.mark.parametrize(("keys", "code", "message"), REFUSED)
@pytest.mark.parametrize("verb", ("ADD", "CHECK"))
def test_bad_input_changes_nothing(
    one: Attached, keys: dict[str, Any], code: int, message: str, verb: str
) -> None:
    """What cannot be done is refused with its cause before anything is changed."""
    before = picture(one.space)
    error = one.refused(verb, one.conf(**keys))
    if verb == "ADD" or code == 7:
        assert (error["code"], error["msg"][: len(message)]) == (code, message)
    assert picture(one.space) == before
    assert qdiscs(one.veth) == {"noqueue": {}}


def test_netns_that_is_none_is_refused(one: Attached) -> None:
    """A CNI_NETNS that does not exist is code 8."""
    error = one.refused("ADD", one.conf(**limits()), netns="/run/netns/absent")
    assert error["code"] == 8


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ((), "the container has no such interface"),
        (("type", "bridge"), "it is bridge, not veth"),
        (
            ("type", "veth", "peer", "name", "other"),
            "the other end of its veth is not on the host",
        ),
    ],
)
def test_interface_that_cannot_be_limited_is_refused(
    one: Attached, commands: tuple[str, ...], message: str
) -> None:
    """What is no veth, or has no end on the host, is named."""
    if commands:
        one.space.run("ip", "link", "add", "net7", *commands)
    before = picture(one.space)
    error = one.refused("ADD", one.conf(**limits()), ifname="net7")
    assert error["msg"] == f"limit interface net7: {message}"
    assert picture(one.space) == before


def test_discipline_of_somebody_else_stays(one: Attached) -> None:
    """A link that somebody limits already is refused and left alone."""
    root = ("root", "handle", "7:", "pfifo")
    run("tc", "qdisc", "add", "dev", one.veth, *root)
    before = (picture(one.space), tc("qdisc", "show", "dev", one.veth))
    error = one.refused("ADD", one.conf(**limits()))
    assert error["msg"] == f"add qdisc tbf to link {one.veth}: it has one already"
    assert (picture(one.space), tc("qdisc", "show", "dev", one.veth)) == before
