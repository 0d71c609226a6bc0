# SPDX-License-Identifier: Apache-2.0
"""What a node keeps of a network: whole or absent, root's own, and nothing followed."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from unit.net.nodes import CONFIG as NETWORK

from cni_common.own_files import CONTENT_MAX
from cni_common.pool import held
from cni_common.spec.errors import CNIError, Code
from cnipy.net.cache import Cache, joined
from cnipy.net.records import NodeRecord, Pool, new_identity

CONFIG = replace(
    NETWORK,
    pools=(Pool(ip_network("10.64.0.0/16"), 26),),
    underlay=(),
    domain="apps.internal",
)
OWN = NodeRecord(
    node="alpha",
    underlay=(ip_address("192.0.2.1"),),
    blocks=(ip_network("10.64.0.64/26"),),
    identity=new_identity(),
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A network of a node that has joined none yet."""
    monkeypatch.setattr(held, "ROOT", str(tmp_path / "net"))
    return Cache("apps")


def peer(number: int) -> NodeRecord:
    """Return the record of another node."""
    address, block = f"192.0.2.{number}", f"10.64.{number}.0/26"
    return NodeRecord(
        f"n{number}",
        (ip_address(address),),
        (ip_network(block),),
        identity=new_identity(),
    )


def test_what_is_kept_is_what_is_read(cache: Cache) -> None:
    """A node knows the network, itself and the others after a boot."""
    assert (joined(), cache.config(), cache.own(CONFIG)) == ([], None, None)
    assert cache.peers(CONFIG) is None
    cache.keep_config(CONFIG)
    assert joined() == []
    cache.keep_own(OWN)
    peers = {f"n{number}": peer(number) for number in range(2, 5)}
    cache.keep_peers(peers, 17)
    cache.keep_pod_cidrs(("10.64.0.64/26",))
    assert (joined(), cache.config(), cache.own(CONFIG)) == (["apps"], CONFIG, OWN)
    assert (cache.peers(CONFIG), cache.pod_cidrs()) == (peers, ("10.64.0.64/26",))
    assert cache.seen() == 17
    assert os.stat(cache.path).st_mode & 0o777 == 0o700
    assert {os.stat(f.path).st_mode & 0o777 for f in os.scandir(cache.path)} == {0o600}


def test_thousands_of_peers_are_kept(cache: Cache) -> None:
    """The records of all are more than other files of ours may be."""
    many = {f"n{number}": replace(peer(9), node=f"n{number}") for number in range(9000)}
    cache.keep_peers(many)
    assert os.path.getsize(f"{cache.path}/peers") > CONTENT_MAX
    assert cache.peers(CONFIG) == many


def test_what_is_damaged_is_told_and_names_the_way_out(cache: Cache) -> None:
    """Half a document is none; peers come from the store again, and are unknown."""
    cache.keep_config(CONFIG)
    cache.keep_own(OWN)
    for name in ("config", "own", "peers"):
        (Path(cache.path) / name).write_text('{"v":')
    with pytest.raises(CNIError, match=r"net/apps/config: .*net leave apps") as refusal:
        cache.config()
    assert refusal.value.code == Code.DECODE_FAILURE
    with pytest.raises(CNIError, match="net/apps/own: "):
        cache.own(CONFIG)
    assert (cache.peers(CONFIG), cache.seen()) == (None, 0)


def test_a_peer_that_cannot_be_is_left_out(cache: Cache) -> None:
    """One record that is wrong takes no other along."""
    stranger = replace(peer(3), blocks=(ip_network("10.99.0.0/26"),))
    cache.keep_peers({"n2": peer(2), "n3": stranger})
    assert cache.peers(CONFIG).keys() == {"n2"}  # type: ignore[union-attr]


def test_links_and_files_of_others_are_not_believed(
    cache: Cache, tmp_path: Path
) -> None:
    """Root acts on these files, so nobody else may have written them."""
    cache.keep_own(OWN)
    (elsewhere := tmp_path / "elsewhere").write_bytes(CONFIG.content())
    os.symlink(elsewhere, f"{cache.path}/config")
    with pytest.raises(CNIError, match="config: it is no file"):
        cache.config()
    os.unlink(f"{cache.path}/config")
    cache.keep_config(CONFIG)
    os.chown(f"{cache.path}/config", 12345, 0)
    with pytest.raises(CNIError, match="config: it belongs to user 12345"):
        cache.config()
    os.chmod(cache.path, 0o777)
    with pytest.raises(CNIError, match="writable by everybody"):
        cache.own(CONFIG)


def test_nothing_is_left(cache: Cache) -> None:
    """What is removed is gone with its directory, once and twice."""
    cache.keep_config(CONFIG)
    cache.keep_own(OWN)
    held.write("apps", held.Held((CONFIG.pools[0].network,), OWN.blocks))
    cache.remove()
    cache.remove()
    assert (joined(), os.path.exists(cache.path)) == ([], False)
