# SPDX-License-Identifier: Apache-2.0
"""What somebody with rights writes to the store while agents run: named, and undone.

Nothing that works stops working, and what comes after is heard of.
"""

from __future__ import annotations

import ipaddress
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from netns.net import pairs
from netns.net.machines import wait_until
from netns.net.pairs import CONFIG, HEAD, SNAPSHOT, network, talk, ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netns.net.machines import Lan, Node

FAR = 1 << 52  # the highest number that there is, but one
NOWHERE = "0" * 32  # a hash of no list


class Told:
    """A node without an agent, whose record is what the test writes."""

    def __init__(self, lan: Lan, node: Node) -> None:
        self._lan = lan
        self.key = f"/cnipy/v1/apps/nodes/{node.name}"
        self.record = json.loads(lan.store()[self.key])
        (self.block,) = self.record["blocks"]

    def tell(self, *, has_block: bool) -> None:
        """Have its record say that it has its block, or none."""
        self.record["seq"] = self.record.get("seq", 0) + 1
        self.record["blocks"] = [self.block] if has_block else []
        self._lan.etcdctl("put", self.key, input=json.dumps(self.record))


@pytest.fixture(scope="module")
def joined(lan: Lan) -> list[Node]:
    """Two nodes with agents, and where underlay addresses may be."""
    return pairs.joined(lan, "--underlay", "192.0.2.0/24")


@pytest.fixture(scope="module")
def silent(lan: Lan, joined: list[Node]) -> Told:
    """A third, of which the others know what the test writes."""
    third = lan.node(13)
    third.ok("net", "join", "apps")
    told = Told(lan, third)
    wait_until(lambda: all(told.block in ways(each) for each in joined))
    return told


@pytest.fixture
def pair(lan: Lan, joined: list[Node], silent: Told) -> Iterator[list[Node]]:
    """Both, when they are well and know the third; afterwards they are as before."""
    silent.tell(has_block=True)
    wait_until(lambda: pairs.are_well(joined) and _know_three(joined, silent))
    yield joined
    silent.tell(has_block=True)
    wait_until(lambda: _know_three(joined, silent))
    assert pairs.run_on(joined)
    assert "nodes/false" not in str(lan.store())


def _know_three(joined: list[Node], silent: Told) -> bool:
    """Tell whether both have ways to each other and the third, and nowhere else."""
    blocks = [network(each)["blocks"] for each in joined]
    wanted = [{*theirs, silent.block} for theirs in reversed(blocks)]
    return [{*ways(each)} for each in joined] == wanted


def head_of(lan: Lan) -> Any:
    return json.loads(lan.store()[HEAD])


def forged_head(lan: Lan, number: int, digest: str = "", **more: Any) -> str:
    """Return a head that says another number, or hash, than there is."""
    there = head_of(lan)
    of_list = [number, digest or there["list"][1]]
    return json.dumps({**there, "list": of_list, "steps": [], **more})


def step_away(lan: Lan) -> str:
    """Return a head to which a step leads: to the same list, by the last number."""
    there = head_of(lan)
    step = {"v": 1, "generation": there["generation"], "from": there["list"]}
    step |= {"to": [FAR, there["list"][1]], "changes": []}
    return forged_head(lan, FAR, steps=[step])


FORGED: dict[str, Callable[[Lan], str]] = {
    "garbage": lambda _: "\x00{",
    "oversized": lambda lan: forged_head(lan, 9, more="x" * 1_100_000),
    "lower": lambda lan: forged_head(lan, 0),
    "lying": lambda lan: forged_head(lan, head_of(lan)["list"][0], NOWHERE),
    "further": lambda lan: forged_head(lan, head_of(lan)["list"][0] + 9, NOWHERE),
    "far": lambda lan: forged_head(lan, FAR, NOWHERE),
    "far-by-a-step": step_away,
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_forged_head_is_replaced(
    forged: Callable[[Lan], str], lan: Lan, pair: list[Node], silent: Told
) -> None:
    """At once, though nothing is new; and no number that it had is kept for ever."""
    before = [ways(each) for each in pair]
    content = forged(lan)
    lan.etcdctl("put", HEAD, input=content)
    wait_until(lambda: lan.store()[HEAD] != content, 10)
    assert head_of(lan)["list"][0] < FAR // 2
    assert [ways(each) for each in pair] == before
    silent.tell(has_block=False)
    wait_until(lambda: all(silent.block not in ways(each) for each in pair), 10)
    one = pair[0]
    one.stop()
    one.start()
    silent.tell(has_block=True)
    wait_until(lambda: all(silent.block in ways(each) for each in pair), 30)
    kept = json.loads(one.path("/var/lib/cnipy/net/apps/peers").read_text())
    assert kept["head"] <= head_of(lan)["list"][0]
    assert talk(pair)


def packed(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


def false_nodes(lan: Lan, count: int, *, digest: str = NOWHERE) -> bytes:
    """Return a snapshot of nodes that there are not."""
    number = head_of(lan)["list"][0]
    nodes = []
    for each in range(count):
        place = f"192.0.2.{100 + each % 100}"
        record = {"v": 1, "node": f"false{each}", "underlay": [place]}
        nodes.append([f"false{each}", record | {"identity": f"{each:032x}"}])
    generation = head_of(lan)["generation"]
    whole = {"v": 1, "generation": generation, "list": [number, digest]}
    return packed({**whole, "nodes": nodes})


SNAPSHOTS: dict[str, Callable[[Lan], bytes]] = {
    "false": lambda lan: false_nodes(lan, 3),
    "false-with-the-hash": lambda lan: false_nodes(
        lan, 3, digest=head_of(lan)["list"][1]
    ),
    "big": lambda lan: false_nodes(lan, 9000),
    "bomb": lambda _: zlib.compress(b" " * (70 << 20)),
}


@pytest.mark.parametrize("forged", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_forged_snapshot_is_replaced(
    forged: Callable[[Lan], bytes], lan: Lan, pair: list[Node], silent: Told
) -> None:
    """Who joins meanwhile is in, and hears of those that there are, and no others."""
    content = forged(lan)
    lan.put(SNAPSHOT, content)
    new = lan.node(21)
    new.ok("net", "join", "apps")
    new.start()
    wait_until(lambda: lan.value(SNAPSHOT) != content, 15)
    known = {*ways(pair[0])}
    wait_until(lambda: silent.block in ways(new), 30)
    wait_until(lambda: pairs.are_well([new]))
    assert {line.split()[4] for line in ways(new).values()} == {
        "192.0.2.11",
        "192.0.2.12",
        "192.0.2.13",
    }
    new.stop()
    new.ok("net", "leave", "apps")
    lan.end(new, 21)
    wait_until(lambda: {*ways(pair[0])} <= known)
    assert talk(pair)


def test_steps_that_are_forged_or_gone_hold_up_nobody_who_begins(
    lan: Lan, pair: list[Node], silent: Told
) -> None:
    """Those beside the right ones lead nobody astray, and lost ones are made up for."""
    silent.tell(has_block=False)
    wait_until(lambda: all(silent.block not in ways(each) for each in pair), 10)
    room = "/cnipy/v1/apps/steps/"
    steps = {key: json.loads(v) for key, v in lan.store().items() if room in key}
    last = max(steps)
    for number, of in ((FAR, steps[last]["from"]), (FAR - 1, [0, NOWHERE])):
        step = {**steps[last], "from": of, "to": [number, NOWHERE]}
        lan.etcdctl("put", f"{room}{number:016}", input=json.dumps(step))
    lan.etcdctl("del", last)
    wait_until(lambda: f"{room}{FAR:016}" not in lan.store(), 15)
    new = lan.node(22)
    new.ok("net", "join", "apps")
    assert {line.split()[4] for line in ways(new).values()} == {
        "192.0.2.11",
        "192.0.2.12",
    }
    new.ok("net", "leave", "apps")
    lan.end(new, 22)


class Stranger:
    """A node that there is not, which has claimed all that it says it has."""

    def __init__(self, lan: Lan, **keys: Any) -> None:
        self._lan = lan
        usual = {"v": 1, "node": "false", "underlay": ["192.0.2.99"], "seq": 1}
        self.record = usual | {"identity": "e" * 32} | keys
        self.rooms = [f"/cnipy/v1/apps/nodes/{self.record['node']}"]

    def come(self) -> None:
        """Have claims and record be in the store, as far as nobody has them."""
        there = self._lan.store()
        claim = json.dumps({"node": self.record["node"], "identity": "e" * 32})
        for block in self.record.get("blocks", ()):
            self._claim(there, f"blocks/{block.replace('/', '_')}", claim)
        for each in self.record["underlay"]:
            self._claim(there, f"underlay/{each}", claim)
        self._lan.etcdctl("put", self.rooms[0], input=json.dumps(self.record))

    def _claim(self, there: dict[str, str], room: str, claim: str) -> None:
        key = f"/cnipy/v1/apps/{room}"
        if key not in there:
            self._lan.etcdctl("put", key, input=claim)
            self.rooms.append(key)

    def go(self) -> None:
        """Have none of it be there."""
        for key in self.rooms:
            self._lan.etcdctl("del", key)


@pytest.mark.parametrize(
    ("keys", "cause"),
    [
        ({"underlay": ["192.0.2.12"]}, "underlay: 192.0.2.12 is not claimed by it"),
        ({"underlay": ["198.51.100.9"]}, "198.51.100.9 is outside of 192.0.2.0/24"),
        ({"underlay": ["192.0.2.98", "192.0.2.99"]}, "one address a family"),
        ({"blocks": ["10.99.0.0/29"]}, "10.99.0.0/29 is outside of the pool"),
        ({"blocks": ["192.0.2.0/29"]}, "192.0.2.0/29 is outside of the pool"),
        ({"blocks": ["10.64.0.0/24"]}, "10.64.0.0/24 is no block"),
        ({"node": "other", "underlay": ["192.0.2.12"]}, "not claimed by it"),
    ],
)
def test_record_that_cannot_be_is_named_by_every_way(
    keys: dict[str, Any], cause: str, lan: Lan, pair: list[Node]
) -> None:
    """Though its node has claimed what it says; and no kernel knows of it."""
    before = [each.run("ip", "route") for each in pair]
    stranger = Stranger(lan, **keys)
    stranger.come()
    try:
        wait_until(lambda: any(cause in str(network(each)) for each in pair), 10)
        assert [each.run("ip", "route") for each in pair] == before
        assert talk(pair)
    finally:
        stranger.go()
    wait_until(lambda: not any(network(each)["refused"] for each in pair), 10)


def test_record_of_more_blocks_than_are_claimed_has_those_that_are(
    lan: Lan, pair: list[Node]
) -> None:
    """Two thousand that it says it has lead nowhere; one that is another's stays."""
    pool = ipaddress.ip_network("10.64.128.0/17")
    claimed = {key.rpartition("/")[2].replace("_", "/") for key in lan.store()}
    every = [str(each) for each in pool.subnets(new_prefix=29)]
    mine, *others = [each for each in every if each not in claimed][:2000]
    stranger = Stranger(lan, blocks=[mine])
    stranger.come()
    stranger.record["blocks"] = [mine, *others, *network(pair[0])["blocks"]]
    lan.etcdctl("put", stranger.rooms[0], input=json.dumps(stranger.record))
    try:
        wait_until(lambda: mine in ways(pair[1]), 15)
        wait_until(lambda: any(network(each)["refused"] for each in pair))
        for each in pair:
            assert not {*others} & {*ways(each)}
        assert talk(pair)
    finally:
        stranger.go()


def test_block_that_overlaps_a_bridge_is_left_out_by_name(
    lan: Lan, pair: list[Node]
) -> None:
    """What the host reaches itself does not go to another node."""
    one = pair[0]
    one.run("ip", "link", "add", "br9", "type", "bridge")
    one.run("ip", "addr", "add", "10.64.250.1/24", "dev", "br9")
    one.run("ip", "link", "set", "br9", "up")
    stranger = Stranger(lan, blocks=["10.64.250.8/29"])
    stranger.come()
    try:
        wait_until(lambda: "10.64.250.8/29" in ways(pair[1]), 10)
        cause = "10.64.250.8/29 is in 10.64.250.1/24 of this host"
        wait_until(lambda: cause in str(network(one)["faults"]), 10)
        (way,) = one.json("ip", "-j", "route", "get", "10.64.250.9")
        assert way["dev"] == "br9"
        assert talk(pair)
    finally:
        stranger.go()
        one.run("ip", "link", "del", "br9")


def whole_config(lan: Lan) -> Any:
    return json.loads(lan.store()[CONFIG])


def changed(lan: Lan, **keys: Any) -> str:
    return json.dumps({**whole_config(lan), **keys})


def pools(network: str, block: int = 29) -> list[dict[str, Any]]:
    return [{"network": network, "block": block}]


CONFIGS: dict[str, tuple[Callable[[Lan], str], str]] = {
    "garbage": (lambda _: "{", "configuration of network apps"),
    "oversized": (lambda lan: changed(lan, more="x" * 70_000), "more than 65536"),
    "backend": (
        lambda lan: changed(lan, backend="gpe", port=4790),
        "backend was 'host-gw'",
    ),
    "shrunk": (lambda lan: changed(lan, pools=pools("10.64.0.0/24")), "has become"),
    "over-the-underlay": (
        lambda lan: changed(lan, pools=pools("192.0.0.0/8"), underlay=[]),
        "has become",
    ),
    "grown": (
        lambda lan: changed(lan, pools=pools("10.64.0.0/15")),
        "has become",
    ),
    "elsewhere": (
        lambda lan: changed(lan, underlay=["198.51.100.0/24"]),
        "192.0.2.11 is outside of 198.51.100.0/24",
    ),
}


@pytest.mark.parametrize(("flipped", "cause"), CONFIGS.values(), ids=CONFIGS)
def test_network_that_changes_so_is_not_followed(
    flipped: Callable[[Lan], str], cause: str, lan: Lan, pair: list[Node], silent: Told
) -> None:
    """The node says so, goes on as it is, hears of the others, and is well again."""
    one = pair[0]
    before = lan.store()[CONFIG]
    lan.etcdctl("put", CONFIG, input=flipped(lan))
    try:
        assert cause in one.refused("net", "repair")
        silent.tell(has_block=False)
        wait_until(lambda: silent.block not in ways(one), 10)
        assert talk(pair)
        one.stop()
        one.start()
        silent.tell(has_block=True)
        wait_until(lambda: silent.block in ways(one), 30)
    finally:
        lan.etcdctl("put", CONFIG, input=before)
    one.ok("net", "repair")
    assert talk(pair)


def test_network_whose_generation_flips_and_comes_back(
    lan: Lan, pair: list[Node], silent: Told
) -> None:
    """Each time all is read anew, and nobody is without ways meanwhile."""
    before = lan.store()[CONFIG]
    known = [ways(each) for each in pair]
    for content in (changed(lan, generation="a" * 32), before):
        lan.etcdctl("put", CONFIG, input=content)
        wanted = json.loads(content)["generation"]
        for each in pair:
            each.ok("net", "repair")
            each.stop()
            each.start()
        wait_until(lambda w=wanted: head_of(lan)["generation"] == w, 30)
        assert [ways(each) for each in pair] == known
        silent.tell(has_block=False)
        wait_until(lambda: all(silent.block not in ways(each) for each in pair), 20)
        silent.tell(has_block=True)
        wait_until(lambda: all(silent.block in ways(each) for each in pair), 20)
    assert talk(pair)
