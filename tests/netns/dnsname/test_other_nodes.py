# SPDX-License-Identifier: Apache-2.0
"""dnsname and the agent's name server: containers of other nodes are found by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from lab import PATIENCE
from netns.dnsname.helpers import (
    AAAA,
    DOMAIN,
    GATEWAY6,
    NXDOMAIN,
    PTR,
    TXT,
    A,
    Reply,
    pids,
    resolved,
    reverse,
)

from cnipy.net import keys
from cnipy.net.names import ADDRESS, PORT, announcer
from cnipy.net.names.announcer import Announcer
from cnipy.net.names.answerer import Answerer
from cnipy.net.names.entries import Entry
from cnipy.net.records import NetworkConfig, NodeRecord, Pool, new_identity
from cnipy.net.store import AwayError, DeniedError
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netns.dnsname.helpers import Attached, Names

    from cnipy.net import store

SERVFAIL, REFUSED = 2, 5
CONFIG = NetworkConfig(
    name="net",
    backend="host-gw",
    pools=(Pool(ip_network("10.1.0.0/16"), 24), Pool(ip_network("fd00:1::/48"), 64)),
    vni=7,
    port=0,
    domain=DOMAIN,
    generation=new_identity(),
)
ALPHA = NodeRecord("alpha", (ip_address("192.0.2.1"),), identity=new_identity())
BETA = NodeRecord("beta", (ip_address("192.0.2.2"),), identity=new_identity())
FAR, FAR6 = "10.1.3.7", "fd00:1:0:3::7"
# What the agent writes into the list.
ASKS = {
    "domainServer": f"{ADDRESS}#{PORT}",
    "pools": [str(pool.network) for pool in CONFIG.pools],
}


class Shared(FileStore):
    """A store that can be away or refuse, and counts how often it is asked."""

    away = denied = False
    asked = 0

    def create(self, key: str, value: bytes, lease: store.Lease | None = None) -> int:
        """Write a key that is not there."""
        if self.denied:
            raise DeniedError("write: permission denied")
        return super().create(key, value, lease)

    def get(self, key: str, *, stale: bool = False) -> store.Entry | None:
        """Return what the store has."""
        self.asked += 1
        if self.away:
            raise AwayError("ask the store", {"here": "a test has it be away"})
        return super().get(key, stale=stale)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    """The store of both nodes."""
    return Shared(str(tmp_path), create=True)


@contextlib.contextmanager
def answering(answerer: Answerer) -> Iterator[None]:
    """Have the name server run in a thread, in this network namespace."""
    loop = asyncio.new_event_loop()
    serving = loop.create_task(answerer.serve())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.run_until_complete(asyncio.sleep(0.01))  # sockets are closed meanwhile

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 5 * PATIENCE
    while not listens() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(10)
        loop.close()


def listens() -> bool:
    """Tell whether a connection is taken."""
    with socket.socket() as client:
        return client.connect_ex((ADDRESS, PORT)) == 0


@pytest.fixture
def agent(node: Names, shared: Shared) -> Iterator[Answerer]:
    """The name server of the host's agent."""
    del node
    answerer = Answerer(shared, [(CONFIG, ALPHA)])
    with answering(answerer):
        yield answerer


def put(shared: Shared, name: str, *addresses: str, of: NodeRecord = BETA) -> None:
    """Have a node's container in the store."""
    entry = Entry(of.node, of.identity, tuple(map(ip_address, addresses)))
    shared.put(keys.container("net", name), entry.content())
    for each in entry.addresses:
        named = Entry(of.node, of.identity, names=(f"{name}.{DOMAIN}",))
        shared.put(keys.address("net", each), named.content())


def stored(shared: Shared, name: str) -> Any:
    """Return what the store has of a name."""
    found = shared.get(keys.container("net", name))
    return json.loads(found.value) if found else None


def test_container_of_another_node_is_found(
    node: Names, shared: Shared, agent: Answerer
) -> None:
    """By its name with the domain, in both families, and by its addresses."""
    del agent
    put(shared, "web", FAR, FAR6)
    one = node.attach("c1", "one", **ASKS)
    assert one.ask(f"web.{DOMAIN}") == Reply(0, [FAR])
    assert one.ask(f"WEB.{DOMAIN}", AAAA, GATEWAY6) == Reply(0, [FAR6])
    assert one.ask(reverse(FAR), PTR) == Reply(0, [f"web.{DOMAIN}"])
    assert one.ask(reverse(FAR6), PTR) == Reply(0, [f"web.{DOMAIN}"])
    assert one.ask(f"web.{DOMAIN}", TXT) == Reply(0, [])
    assert one.ask(f"nobody.{DOMAIN}").code == NXDOMAIN
    assert one.ask(reverse("10.1.99.9"), PTR).code == NXDOMAIN
    assert resolved(one, "web") == [FAR, FAR6]
    assert one.ask(f"one.{DOMAIN}") == Reply(0, [one.address])
    assert one.ask(reverse(one.address), PTR) == Reply(0, [f"one.{DOMAIN}"])


def test_what_is_known_is_answered_while_the_store_is_away(
    node: Names, shared: Shared, agent: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is asked once in some seconds; away, for nobody who was known."""
    monkeypatch.setattr("cnipy.net.names.lookup.FRESH", 100.0)
    put(shared, "web", FAR)
    one = node.attach("c1", "one", **ASKS)
    web = question(f"web.{DOMAIN}")
    assert code(exchanged(web)) == 0
    asked = shared.asked
    assert [exchanged(web)[7] for _ in range(5)] == [1] * 5
    assert shared.asked == asked
    shared.away = True
    agent._lookup._clock = lambda: time.monotonic() + 200
    assert exchanged(web)[7] == 1
    assert shared.asked == asked + 1
    # Which dnsmasq does not pass on, so that a resolver asks once more.
    assert code(exchanged(question(f"other.{DOMAIN}"))) == SERVFAIL
    assert one.ask(f"one.{DOMAIN}", AAAA) == Reply(0, [one.address6])
    assert one.ask(f"one.{DOMAIN}", TXT) == Reply(0, [])


def test_store_is_told_of_this_nodes_names(node: Names, shared: Shared) -> None:
    """After ADD it has them, with both families, and after DEL no more."""
    telling = Announcer(shared, CONFIG, ALPHA)
    assert telling.turn() == []
    one = node.attach("c1", "one", aliases=["alias"], **ASKS)
    two = node.attach("c2", "one", **ASKS)
    assert telling.turn() == []
    both = {one.address, two.address, one.address6, two.address6}
    assert set(stored(shared, "one")["addresses"]) == both
    assert stored(shared, "alias")["node"] == "alpha"
    found = shared.get(keys.address("net", ip_address(one.address)))
    assert found is not None
    names = [f"one.{DOMAIN}", f"alias.{DOMAIN}"]
    assert json.loads(found.value)["names"] == names
    before = shared.changes(keys.network("net")).revision
    assert telling.turn() == []
    assert shared.changes(keys.network("net")).revision == before
    node.call("DEL", one)
    telling.turn()
    assert set(stored(shared, "one")["addresses"]) == {two.address, two.address6}
    assert stored(shared, "alias") is None
    node.call("DEL", two)
    telling.turn()
    assert [each.key for each in shared.list(keys.network("net"))] == []


def test_end_of_a_container_is_known_at_once(
    node: Names, shared: Shared, agent: Answerer
) -> None:
    """DEL waits for no other server, and the node's own files are believed."""
    del agent
    one = node.attach("c1", "one", **ASKS)
    two = node.attach("c2", "two", **ASKS)
    Announcer(shared, CONFIG, ALPHA).turn()
    node.call("DEL", one)
    assert stored(shared, "one") is not None
    assert two.ask(f"one.{DOMAIN}").code == NXDOMAIN


def test_end_of_a_container_asks_no_other_server(node: Names) -> None:
    """Where nobody answers for other nodes, DEL does not wait for that."""
    one, two = node.attach("c1", "one", **ASKS), node.attach("c2", "two", **ASKS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((ADDRESS, PORT))
        silent.setblocking(False)
        node.call("DEL", one)
        with pytest.raises(BlockingIOError):
            silent.recv(100)
    assert two.ask(f"two.{DOMAIN}") == Reply(0, [two.address])


def test_name_of_another_node_is_not_taken(
    node: Names, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conflict is named once; when the other goes, the name is this node's."""
    monkeypatch.setattr(announcer, "CONFLICT", 0.0)
    put(shared, "one", FAR)
    one = node.attach("c1", "one", **ASKS)
    telling = Announcer(shared, CONFIG, ALPHA)
    text = f"one.{DOMAIN} is of node beta: other nodes do not find this node's by it"
    assert telling.turn() == [text]
    assert telling.turn() == []
    assert stored(shared, "one")["addresses"] == [FAR]
    shared.delete(keys.container("net", "one"))
    assert telling.turn() == []
    assert stored(shared, "one")["addresses"] == [one.address, one.address6]


def test_store_that_refuses_is_told_of_once(
    node: Names, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is another refusal; where it is allowed again, the names are there."""
    monkeypatch.setattr(announcer, "RETRY", 0.0)
    node.attach("c1", "one", **ASKS)
    telling = Announcer(shared, CONFIG, ALPHA)
    shared.denied = True
    text = "tell the store of names: write: permission denied"
    assert [telling.turn(), telling.turn()] == [[text], []]
    shared.denied = False
    assert telling.turn() == []
    assert stored(shared, "one") is not None


def test_agent_that_was_away_takes_away_what_is_gone(
    node: Names, shared: Shared
) -> None:
    """What an earlier agent has written is known to the next, and to `forget`."""
    one = node.attach("c1", "one", **ASKS)
    two = node.attach("c2", "two", **ASKS)
    put(shared, "far", FAR)
    Announcer(shared, CONFIG, ALPHA).turn()
    node.call("DEL", one)
    shared.away = True
    moment = 0.0
    telling = Announcer(shared, CONFIG, ALPHA, clock=lambda: moment)
    assert telling.turn() == []
    shared.away = False
    assert telling.turn() == []
    assert stored(shared, "one") is not None
    moment = announcer.RETRY
    assert telling.turn() == []
    assert stored(shared, "one") is None
    assert stored(shared, "two")["addresses"] == [two.address, two.address6]
    shared.asked, moment = 0, announcer.RETRY + announcer.AGAIN
    assert telling.turn() == []
    assert shared.asked == 1
    # A store that was put back has lost what was written since.
    shared.delete(keys.container("net", "two"))
    shared.delete(keys.named("net", ALPHA.node))
    moment += announcer.AGAIN
    assert telling.turn() == []
    assert stored(shared, "two") is not None
    announcer.forget(shared, CONFIG, ALPHA)
    left = [each.key for each in shared.list(keys.network("net"))]
    assert left == [keys.address("net", ip_address(FAR)), keys.container("net", "far")]


def exchanged(message: bytes, *, tcp: bool = False, seconds: float = 2.0) -> bytes:
    """Return what the name server says to a message; nothing without an answer."""
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(seconds * PATIENCE)
        client.connect((ADDRESS, PORT))
        client.send((struct.pack(">H", len(message)) if tcp else b"") + message)
        try:
            answer = client.recv(65535)
            while tcp and len(answer) < 2 + int.from_bytes(answer[:2], "big"):
                answer += client.recv(65535)
            return answer[2:] if tcp else answer
        except TimeoutError:
            return b""


def question(name: str, kind: int = A, flags: int = 0x0100, of: int = 1) -> bytes:
    """Return a question as bytes."""
    labels = [bytes([len(label)]) + label.encode() for label in name.split(".")]
    header = struct.pack(">6H", 77, flags, 1, 0, 0, 0)
    return header + b"".join(labels) + b"\0" + struct.pack(">2H", kind, of)


def code(answer: bytes) -> int:
    """Return the code of an answer."""
    return answer[3] & 15


def test_only_questions_of_its_networks_are_answered(
    shared: Shared, agent: Answerer
) -> None:
    """Others are refused, garbage is called so, and an answer is not answered."""
    put(shared, "web", FAR)
    assert code(exchanged(question(f"web.{DOMAIN}"))) == 0
    assert code(exchanged(question("www.example.org"))) == REFUSED
    assert code(exchanged(question(reverse("192.0.2.1"), PTR))) == REFUSED
    assert code(exchanged(question(reverse("10.2.0.1"), PTR))) == REFUSED
    assert code(exchanged(question(f"web.{DOMAIN}", of=3))) == REFUSED
    assert code(exchanged(question(f"web.{DOMAIN}")[:20])) == 1
    assert code(exchanged(question(f"web.{DOMAIN}", flags=0x2800))) == 4
    assert exchanged(question(f"web.{DOMAIN}", flags=0x8000), seconds=0.3) == b""
    agent.learn([])
    assert code(exchanged(question(f"web.{DOMAIN}"))) == REFUSED


def test_long_answer_comes_by_tcp(shared: Shared, agent: Answerer) -> None:
    """By a datagram it is told to be truncated, unless that may be as long."""
    del agent
    put(shared, "many", *(f"10.1.3.{number}" for number in range(1, 61)))
    short = exchanged(question(f"many.{DOMAIN}"))
    assert (short[2] & 2, short[6:8]) == (2, b"\0\0")
    whole = exchanged(question(f"many.{DOMAIN}"), tcp=True)
    assert (whole[2] & 2, whole[6:8]) == (0, bytes([0, 60]))
    option = b"\0" + struct.pack(">HHLH", 41, 4096, 0, 0)
    asked = bytearray(question(f"many.{DOMAIN}") + option)
    asked[11] = 1
    assert exchanged(bytes(asked))[6:8] == bytes([0, 60])


@pytest.mark.parametrize(
    "value",
    (
        b"nonsense",
        Entry("evil", new_identity(), (ip_address("192.0.2.9"),)).content(),
        b"x" * 70_000,
        json.dumps({"v": 2}).encode(),
    ),
)
def test_entry_that_nobody_can_believe_is_not_there(
    shared: Shared, agent: Answerer, value: bytes
) -> None:
    """A name leads into the pools of its network, or nowhere; the server goes on."""
    del agent
    shared.put(keys.container("net", "evil"), value)
    put(shared, "web", FAR)
    assert code(exchanged(question(f"evil.{DOMAIN}"))) == NXDOMAIN
    assert code(exchanged(question(f"web.{DOMAIN}"))) == 0


def test_server_of_the_domain_follows_the_configuration(
    node: Names, shared: Shared, agent: Answerer
) -> None:
    """An ADD with the key starts dnsmasq anew, and one without it once more."""
    del agent
    put(shared, "web", FAR)
    one = node.attach("c1", "one")
    assert one.ask(f"web.{DOMAIN}").code == NXDOMAIN
    before = pids()
    two: Attached = node.attach("c2", "two", **ASKS)
    assert pids() != before
    assert one.ask(f"web.{DOMAIN}") == Reply(0, [FAR])
    node.call("CHECK", two)
    node.attach("c3", "three")
    assert one.ask(f"web.{DOMAIN}").code == NXDOMAIN


@pytest.mark.parametrize(
    ("wrong", "msg"),
    (
        ({"domainServer": "nobody"}, "parse domainServer: 'nobody' is not an IP"),
        ({"domainServer": "127.0.0.1#dns"}, "parse domainServer: 'dns' is not a port"),
        ({"domainServer": "127.0.0.1", "domainName": None}, "use domainServer: "),
    ),
)
def test_server_that_makes_no_sense_is_refused(
    node: Names, wrong: dict[str, Any], msg: str
) -> None:
    """The error names key and cause, and nothing is started."""
    planned = node.plan("c1", "one", **wrong)
    error = node.refused("ADD", planned)
    assert error["code"] == 7
    assert error["msg"].startswith(msg)
    assert pids() == []
