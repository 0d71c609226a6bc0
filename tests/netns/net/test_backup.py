# SPDX-License-Identifier: Apache-2.0
"""An etcd is put back to its backup under agents that went on meanwhile."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from netns.net import machines, pairs
from netns.net.machines import wait_until
from netns.net.pairs import HEAD, network, talk, ways

if TYPE_CHECKING:
    from netns.net.machines import Lan, Node

PAGE = Path(__file__).parents[3] / "docs/many-nodes.md"
ROOM = "/cnipy/v1/apps"


@pytest.fixture(scope="module")
def pair(lan: Lan) -> list[Node]:
    return pairs.joined(lan)


def typed() -> list[str]:
    """Return the blocks of commands that the page says: to save, and to put back."""
    section = PAGE.read_text().partition("### Backup, and putting it back\n")[2]
    parts = section.partition("\n### ")[0].split("```sh\n")[1:]
    return [each.partition("```")[0] for each in parts]


def put_back(lan: Lan) -> None:
    """Type what the page says, with etcd stopped."""
    lan.stop_etcd()
    lan.type_at_etcd(typed()[1])
    lan.start_etcd()


def key_of(block: str) -> str:
    return f"{ROOM}/blocks/{block.replace('/', '_')}"


def test_what_came_after_the_backup_is_in_the_store_again(
    lan: Lan, pair: list[Node]
) -> None:
    """Nodes, blocks and names; and no way is missing meanwhile on anybody."""
    one, other = pair
    save, _ = typed()
    lan.type_at_etcd(save)
    held = len(network(one)["blocks"])
    for number in range(7):
        one.container("apps", f"late{number}")
    wait_until(lambda: len(network(one)["blocks"]) > held, 20)
    third = lan.node(13)
    third.start()
    third.ok("net", "join", "apps")
    theirs = {*network(third)["blocks"]} | {*network(one)["blocks"]}
    wait_until(lambda: theirs <= {*ways(other)}, 20)
    before = [ways(each) for each in (*pair, third)]
    late = pairs.address(one, "late6")
    put_back(lan)
    claims = {key_of(each) for each in theirs}
    wanted = claims | {f"{ROOM}/nodes/n13", f"{ROOM}/underlay/192.0.2.13"}
    wait_until(lambda: wanted <= {*lan.store()}, 30)
    assert [ways(each) for each in (*pair, third)] == before
    assert talk(pair)
    assert other.reaches(late, by="db")
    for each in (*pair, third):
        text = machines.kept_of(lan.store(), each.name)
        assert {key_of(block) for block in network(each)["blocks"]} <= {*text}
    for number in range(7):
        one.ok("del", "apps", f"late{number}")
    third.ok("net", "leave", "apps")


def test_block_that_another_claims_after_it_was_put_back(
    lan: Lan, pair: list[Node]
) -> None:
    """It is the other's: the node that had it comes later, and says so by name."""
    fourth = lan.node(14)
    fourth.ok("net", "join", "apps")
    save, _ = typed()
    lan.type_at_etcd(save)
    held = {*network(fourth)["blocks"]}
    fourth.start()
    names = [f"mine{number}" for number in range(6)]
    given = [fourth.container("apps", name) for name in names]
    last = ip_address(given[-1])
    (block,) = [b for b in network(fourth)["blocks"] if last in ip_network(b)]
    assert block not in held
    fourth.stop()
    put_back(lan)
    assert key_of(block) not in lan.store()
    fifth = lan.node(15)
    fifth.ok("net", "join", "apps", "--pod-cidr", block)
    fourth.start()
    wait_until(lambda: network(fourth)["unusable"] == [block], 30)
    assert f"block {block} of apps is node n15's now" in fourth.log_text()
    assert f"{block} is another node's, too" in fourth.cnipy("net", "status")[1]
    assert '"n15"' in lan.store()[key_of(block)]
    fourth.stop()
    for name in names:
        fourth.ok("del", "apps", name)
    for each in (fourth, fifth):
        each.ok("net", "leave", "apps")
    assert lan.store()[HEAD]
    assert talk(pair)
