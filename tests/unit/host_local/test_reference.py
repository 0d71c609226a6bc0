# SPDX-License-Identifier: Apache-2.0
"""The reference's binary and ours in the same directory, call by call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Network

VERSION = "1.0.0"


def test_the_reference_refuses_and_releases_our_lease(reference: Network) -> None:
    """It sees the duplicate, passes CHECK, and its DEL removes the file."""
    conf = reference.conf("10.2.0.0/24", "fd00::/64", version=VERSION)
    result = reference.call("ADD", conf).document
    assert "10.2.0.2 has been allocated" in reference.reference("ADD", conf).failure[1]
    check = conf | {"prevResult": result}
    assert reference.reference("CHECK", check).status == 0
    assert reference.reference("DEL", conf).status == 0
    assert reference.leases == {}


def test_we_refuse_and_release_the_reference_s_lease(reference: Network) -> None:
    """The same the other way round, with the index built before and after."""
    conf = reference.conf("10.2.0.0/24", "fd00::/64", version=VERSION)
    reference.call("ADD", conf, "before")
    result = reference.reference("ADD", conf).document
    assert "10.2.0.3 has been allocated" in reference.call("ADD", conf).failure[1]
    assert reference.call("CHECK", conf | {"prevResult": result}).status == 0
    assert reference.call("DEL", conf).status == 0
    assert sorted(reference.leases) == ["10.2.0.2", "fd00::2"]


def test_both_write_the_same_bytes(reference: Network, tmp_path: Path) -> None:
    """Every file of one ADD has the same name and content, modes of new files apart."""
    conf = reference.conf("10.2.0.0/24", "fd00::ffff:0/112", version=VERSION)
    reference.call("ADD", conf)
    ours = {path.name: path.read_bytes() for path in reference.directory.iterdir()}
    theirs_dir = tmp_path / "theirs"
    conf["ipam"]["dataDir"] = str(theirs_dir)
    reference.reference("ADD", conf)
    theirs = {p.name: p.read_bytes() for p in (theirs_dir / "net").iterdir()}
    assert ours == theirs


def test_both_print_the_same_result(reference: Network, tmp_path: Path) -> None:
    """Addresses, gateways, routes and DNS agree in every version's shape."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 10.0.0.1\nsearch a.example\noptions ndots:1\n")
    for version in ("0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0"):
        conf = reference.conf(
            {"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.20", "gateway": "10.2.0.9"},
            "2001:db8::/64",
            version=version,
            routes=[{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "2001:db8::9"}],
            resolvConf=str(resolv),
        )
        ours = reference.call("ADD", conf).document
        reference.call("DEL", conf)
        for path in reference.directory.glob("last_reserved_ip.*"):
            path.unlink()
        theirs = reference.reference("ADD", conf).document
        reference.reference("DEL", conf)
        for path in reference.directory.glob("last_reserved_ip.*"):
            path.unlink()
        assert ours == theirs


@pytest.mark.parametrize("seed", range(4))
def test_random_calls_by_either_end_the_same(
    reference: Network, tmp_path: Path, seed: int
) -> None:
    """A mixed history in one directory equals the reference's own in another."""
    mixed = reference.conf(
        [{"subnet": "10.2.0.0/29"}, {"subnet": "10.3.0.0/29", "gateway": "10.3.0.3"}],
        "fd00::/124",
        version=VERSION,
    )
    pure = mixed | {"ipam": mixed["ipam"] | {"dataDir": str(tmp_path / "pure")}}
    rng = random.Random(seed)
    for _ in range(40):
        verb = rng.choice(("ADD", "ADD", "DEL"))
        cid = f"c{rng.randrange(12)}"
        ifname = rng.choice(("eth0", "eth1"))
        expected = reference.reference(verb, pure, cid, ifname)
        call = rng.choice((reference.call, reference.reference))
        found = call(verb, mixed, cid, ifname)
        assert found.status == expected.status
        if found.status == 0:
            # Older releases write an empty `dns` in 1.0.0, newer ones do not.
            assert {"dns": {}} | found.document == {"dns": {}} | expected.document
    theirs = {p.name: p.read_bytes() for p in (tmp_path / "pure" / "net").iterdir()}
    ours = {p.name: p.read_bytes() for p in reference.directory.iterdir()}
    assert ours == theirs
