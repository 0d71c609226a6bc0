# SPDX-License-Identifier: Apache-2.0
"""The agent's name server, without a network: messages, zones, and what is kept."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.net.nodes import CONFIG as NETWORK

from cnipy.net import keys
from cnipy.net.names import lookup, message, zones
from cnipy.net.names.answerer import Answerer
from cnipy.net.names.entries import Entry
from cnipy.net.names.lookup import Lookup, UnknownError
from cnipy.net.names.zones import Place
from cnipy.net.records import NodeRecord, Pool, new_identity
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from cnipy.net import store

CONFIG = replace(
    NETWORK,
    pools=(Pool(ip_network("10.64.0.0/10"), 26), Pool(ip_network("fd00::/41"), 112)),
    underlay=(),
    domain="apps.test",
)
OWN = NodeRecord("alpha", (ip_address("192.0.2.1"),), identity=new_identity())
BETA = new_identity()
HELD = 20.0  # seconds that a slow store takes


def asked(name: str, kind: int = message.A) -> bytes:
    """Return a question as bytes."""
    labels = [bytes([len(label)]) + label.encode() for label in name.split(".")]
    header = struct.pack(">6H", 5, 0x0100, 1, 0, 0, 0)
    return header + b"".join(labels) + b"\0" + struct.pack(">2H", kind, 1)


@given(st.binary(max_size=80), st.integers(0, 40))
def test_no_message_is_more_than_refused(noise: bytes, kept: int) -> None:
    """Whatever comes, there is a question, an answer that says no, or nothing."""
    for content in (noise, asked("web.apps.test")[:kept] + noise):
        try:
            answer = message.answer(message.question(content), message.REFUSED)
        except message.RefusedError as refused:
            answer = refused.answer
        assert answer == b"" or (answer[:2] == content[:2] and answer[2] & 0x80)


@pytest.mark.parametrize(
    ("name", "wanted"),
    (
        ("web.apps.test", "web.apps.test"),
        ("WEB.v2.Apps.Test", "web.v2.apps.test"),
        ("apps.test", ""),
        ("-.apps.test", None),
        ("63.10.in-addr.arpa", ...),
        ("64.10.in-addr.arpa", ""),
        ("5.3.64.10.in-addr.arpa", "10.64.3.5"),
        ("5.3.128.10.in-addr.arpa", ...),
        ("05.3.64.10.in-addr.arpa", ...),
        ("256.3.64.10.in-addr.arpa", ...),
        ("10.in-addr.arpa", ...),
        ("in-addr.arpa", ...),
        ("web.test", ...),
        ("xapps.test", ...),
        ("example.org", ...),
        (ip_address("fd00::7").reverse_pointer, "fd00::7"),
        (ip_address("fd00:80::7").reverse_pointer, ...),
        (ip_address("fd00::7").reverse_pointer[6:], ""),
    ),
)
def test_question_is_about_a_network_or_not(name: str, wanted: object) -> None:
    """Names of the domain, whole addresses of the pools, parts of them, or nothing."""
    place = zones.find(message.question(asked(name)).labels, [CONFIG])
    if wanted is ...:
        assert place is None
        return
    assert place is not None
    assert place.exists is (wanted is not None)
    assert (str(place.address) if place.address else place.name) == (wanted or "")


def test_label_with_a_dot_is_nobodys_name() -> None:
    """The label "a.b" is not the two labels that a container may have."""
    place = zones.find(("a.b", "apps", "test"), [CONFIG])
    assert place is not None
    assert not place.exists


class Slow(FileStore):
    """A store that answers when it is let."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory, create=True)
        self.let = threading.Event()
        self.let.set()
        self.count = 0

    def get(self, key: str, *, stale: bool = False) -> store.Entry | None:
        """Return what the store has, a while later."""
        self.count += 1
        self.let.wait(HELD)
        return super().get(key, stale=stale)


def put(shared: FileStore, name: str, address: str) -> None:
    """Have a container of another node in the store."""
    entry = Entry("beta", BETA, (ip_address(address),))
    shared.put(keys.container("apps", name), entry.content())


def place(name: str) -> Place:
    """Return where a name of the network belongs."""
    return Place(CONFIG, "apps.test", f"{name}.apps.test")


def test_what_is_kept_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for any number of names that are not there drives nobody else's out."""
    monkeypatch.setattr(lookup, "FRESH", 600.0)
    monkeypatch.setattr(lookup, "KNOWN_MAX", 3)
    monkeypatch.setattr(lookup, "ABSENT_MAX", 3)
    shared = Slow(str(tmp_path))
    for number in range(5):
        put(shared, f"there{number}", "10.64.0.5")

    async def ask() -> None:
        finding = Lookup(shared)
        finding.learn([(CONFIG, OWN)])
        for number in range(5):
            assert (await finding.find(place(f"there{number}"))).entry
        for number in range(20):
            assert (await finding.find(place(f"absent{number}"))).entry is None
        count = shared.count
        for number in (2, 3, 4):
            assert (await finding.find(place(f"there{number}"))).entry
        assert shared.count == count
        assert (len(finding._known), len(finding._absent)) == (3, 3)
        finding.learn([])
        assert (len(finding._known), len(finding._absent)) == (0, 0)
        finding.close()

    asyncio.run(ask())


def test_slow_store_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known is told soon, one question is asked once, too many are refused."""
    monkeypatch.setattr(lookup, "FRESH", 0.0)
    monkeypatch.setattr(lookup, "PATIENCE", 0.2)
    monkeypatch.setattr(lookup, "STALE_PATIENCE", 0.05)
    monkeypatch.setattr(lookup, "PENDING_MAX", 2)
    shared = Slow(str(tmp_path))
    put(shared, "web", "10.64.0.5")

    async def ask() -> None:
        finding = Lookup(shared)
        finding.learn([(CONFIG, OWN)])
        await finding.find(place("web"))
        shared.let.clear()
        count, began = shared.count, time.monotonic()
        found = await asyncio.gather(*(finding.find(place("web")) for _ in range(9)))
        assert all(each.entry for each in found)
        with pytest.raises(UnknownError):
            await finding.find(place("other"))
        with pytest.raises(UnknownError):
            await finding.find(place("third"))
        assert time.monotonic() - began < HELD / 2
        assert shared.count == count + 2
        shared.let.set()
        finding.close()

    asyncio.run(ask())


def test_own_entries_of_the_store_are_not_believed(tmp_path: Path) -> None:
    """What this node serves its files tell; the store may be behind."""
    shared = Slow(str(tmp_path))
    entry = Entry(OWN.node, OWN.identity, (ip_address("10.64.0.5"),))
    shared.put(keys.container("apps", "gone"), entry.content())

    async def ask() -> bytes:
        answerer = Answerer(shared, [(CONFIG, OWN)])
        return await answerer.answer(asked("gone.apps.test"), by_datagram=True)

    assert asyncio.run(ask())[3] & 15 == message.NXDOMAIN
