# SPDX-License-Identifier: Apache-2.0
"""What a store has of a network is believed as a whole, or refused by name."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnipy.net import keys, records
from cnipy.net.documents import RecordError
from cnipy.net.records import NetworkConfig, NodeRecord

APPS: dict[str, Any] = {
    "v": 1,
    "name": "apps",
    "backend": "vxlan",
    "pools": [
        {"network": "10.64.0.0/10", "block": 26},
        {"network": "fd00:64::/40", "block": 112},
    ],
    "vni": 7,
    "port": 4789,
    "underlay": ["192.0.2.0/24", "2001:db8::/64"],
    "domain": "apps",
    "mtu": 1450,
    "policy": "same-bridge",
    "forgetAfter": 0,
    "generation": "0" * 32,
}
KEY = "ZSoqcDzMhvFT7hJV3ovNLGUs6sQAqMKJQWNJIL7Nmls="
WEB: dict[str, Any] = {
    "v": 1,
    "node": "web-1",
    "underlay": ["192.0.2.7", "2001:db8::7"],
    "blocks": ["10.64.3.0/26", "fd00:64::1:0/112"],
    "mac": "02:00:00:00:00:07",
    "key": KEY,
    "seq": 3,
    "identity": "ab" * 16,
    "head": 12,
}


def content(document: object) -> bytes:
    return json.dumps(document).encode()


def config(**changes: object) -> NetworkConfig:
    return NetworkConfig.parse(content({**APPS, **changes}), "apps")


def record(**changes: object) -> NodeRecord:
    return NodeRecord.parse(content({**WEB, **changes}), "web-1", config())


def test_configuration_is_what_was_written() -> None:
    """Every member arrives, and what is written again is the same."""
    assert config().document() == APPS
    assert NetworkConfig.parse(config().content(), "apps") == config()
    pool = config().pool(6)
    assert pool is not None
    assert str(pool.network) == "fd00:64::/40"


def test_record_is_what_was_written() -> None:
    """Every member arrives, and what is written again is the same."""
    assert record().document() == WEB
    assert NodeRecord.parse(record().content(), "web-1", config()) == record()


@pytest.mark.parametrize("name", ["a\nserver=/x/192.0.2.1", "\udcff", "\x1b[2J"])
def test_a_node_of_a_strange_name_is_shown_in_one_line(name: str) -> None:
    """As ASCII, for what refuses it goes to logs and terminals."""
    with pytest.raises(RecordError) as caught:
        NodeRecord.parse(b"{}", name, config())
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"v": 2}, "v: version 2 is unknown to this release"),
        ({"v": None}, "None is not a number"),
        ({"name": "other"}, "it is that of 'other'"),
        ({"backend": "gre"}, "backend: 'gre' is not one of host-gw"),
        ({"backend": []}, r"backend: \[\] is not one of host-gw"),
        ({"pools": []}, "one a family, and one at least"),
        ({"pools": APPS["pools"][:1] * 2}, "one a family"),
        ({"pools": [{"network": "10.64.0.1/10", "block": 26}]}, "host bits set"),
        ({"pools": [{"network": "10.64.0.0/10", "block": 31}]}, "not /31"),
        ({"pools": [{"network": "10.64.0.0/10", "block": 9}]}, "not /9"),
        ({"pools": [{"network": "10.64.0.0/10"}]}, "block: it is missing"),
        ({"pools": [{"network": "224.0.0.0/8", "block": 26}]}, "it is multicast"),
        ({"pools": [{"network": "127.0.0.0/8", "block": 26}]}, "it is loopback"),
        ({"pools": [{"network": "fe80::/64", "block": 112}]}, "it is link-local"),
        ({"pools": [{"network": "0.0.0.0/0", "block": 26}]}, "not for containers"),
        ({"pools": [{"network": "::/0", "block": 112}]}, "not for containers"),
        ({"underlay": ["10.0.0.0/8"]}, "underlay: 10.0.0.0/8 overlaps the pool"),
        ({"vni": 0}, "vni: 0 is not a number of 1 to 16777215"),
        ({"vni": 1 << 24}, "vni: 16777216 is not"),
        ({"vni": True}, "vni: True is not a number"),
        ({"port": 0}, "port: 0 is none of backend vxlan"),
        ({"port": 65536}, "port: 65536 is not"),
        ({"mtu": 1279}, "mtu: 1279 is less than 1280"),
        ({"policy": "closed"}, "policy: 'closed' is not one of open"),
        ({"domain": "a b"}, "domain: 'a b' is not a domain"),
        ({"forgetAfter": -1}, "forgetAfter: -1 is not a number"),
        ({"generation": "x"}, "generation: 'x' is not 32 hexadecimal digits"),
    ],
)
def test_configuration_that_cannot_be_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    """The text names the network, the member and what is wrong with it."""
    with pytest.raises(
        RecordError, match=f"^configuration of network apps: .*{says}"
    ) as refusal:
        config(**changes)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"v": 9}, "version 9 is unknown"),
        ({"node": "web-2"}, "node: it is that of 'web-2'"),
        ({"node": "Web"}, "node: 'Web' is not a label"),
        ({"underlay": []}, "underlay: one address a family"),
        ({"underlay": ["192.0.2.7", "192.0.2.8"]}, "underlay: one address a family"),
        ({"underlay": "192.0.2.7"}, "underlay: '192.0.2.7' is not a list"),
        ({"underlay": ["198.51.100.1"]}, "underlay: 198.51.100.1 is outside of 192"),
        ({"underlay": ["10.64.0.9"]}, "underlay: 10.64.0.9 is outside"),
        ({"underlay": ["224.0.0.1"]}, "it is multicast"),
        ({"underlay": ["127.0.0.1"]}, "it is loopback"),
        ({"underlay": ["fe80::1"]}, "it is link-local"),
        ({"underlay": ["0.0.0.0"]}, "it is no unicast address"),
        ({"underlay": ["255.255.255.255"]}, "it is no unicast address"),
        ({"underlay": ["::ffff:192.0.2.7"]}, "it is no unicast address"),
        ({"underlay": ["fe80::1%eth0"]}, "it is link-local"),
        ({"blocks": ["10.0.0.0/26"]}, "10.0.0.0/26 is outside of the pool"),
        ({"blocks": ["10.64.3.0/25"]}, "10.64.3.0/25 is no block"),
        ({"blocks": ["10.0.0.0/8"]}, "10.0.0.0/8 is outside of the pool"),
        ({"blocks": ["10.64.3.0/26"] * 2}, "blocks: one is there twice"),
        ({"blocks": [7]}, "blocks: 7 is not a text"),
        ({"mac": ""}, "mac: it is missing"),
        ({"mac": "01:00:00:00:00:07"}, "mac: .* is not a hardware address of one"),
        ({"mac": "00:00:00:00:00:00"}, "mac: .* is not a hardware address of one"),
        ({"key": "ab"}, "key: 'ab' is not a public key of WireGuard"),
        ({"key": KEY + "\n"}, "key: .* is not a public key of WireGuard"),
        ({"seq": 1 << 53}, "seq: .* is too large"),
        ({"seq": 1.0}, "seq: 1.0 is not a number"),
        ({"identity": "A" * 32}, "identity: .* is not 32 hexadecimal digits"),
    ],
)
def test_record_that_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    """The text names the node, the member and what is wrong with it."""
    with pytest.raises(
        RecordError, match=f"^record of node web-1 in network apps: .*{says}"
    ):
        record(**changes)


def test_underlay_is_not_in_the_pool() -> None:
    """Where no range is set, an address of the pool is nobody's underlay."""
    anywhere = config(underlay=[])
    with pytest.raises(RecordError, match=r"10\.64\.0\.9 is in the pool 10\.64"):
        NodeRecord.parse(content({**WEB, "underlay": ["10.64.0.9"]}), "web-1", anywhere)


def test_own_underlay_is_nobody_elses() -> None:
    """A record that has this node's own address is refused."""
    own = {ipaddress.ip_address("192.0.2.7")}
    with pytest.raises(RecordError, match=r"192\.0\.2\.7 is this node's own"):
        NodeRecord.parse(content(WEB), "web-1", config(), own)


def test_backend_asks_for_what_it_needs() -> None:
    """WireGuard needs a key, and host-gw an underlay address of each block's family."""
    wireguard = config(backend="wireguard", port=51820)
    with pytest.raises(RecordError, match="key: it is missing"):
        NodeRecord.parse(content({**WEB, "key": ""}), "web-1", wireguard)
    host_gw = config(backend="host-gw", port=0)
    with pytest.raises(RecordError, match="blocks of IPv6 need such an address"):
        NodeRecord.parse(content({**WEB, "underlay": ["192.0.2.7"]}), "web-1", host_gw)


@pytest.mark.parametrize(
    ("garbage", "says"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "can't decode"),
        (b"[]", "is not an object"),
        (b"[" * 60000, "recursion"),
        (b'{"v": 1' + b"0" * 5000 + b"}", "integer string conversion"),
        (b" " * (records.CONTENT_MAX + 1), "more than 65536"),
    ],
)
def test_garbage_is_refused(garbage: bytes, says: str) -> None:
    """What is no document is refused as what it stands for, whatever it is."""
    with pytest.raises(RecordError, match=f"^record of node web-1 .*{says}"):
        NodeRecord.parse(garbage, "web-1", config())
    with pytest.raises(RecordError, match=r"^configuration of network apps"):
        NetworkConfig.parse(garbage, "apps")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(member=st.sampled_from(sorted(WEB)), value=_JSON)
def test_any_value_is_taken_or_refused(member: str, value: object) -> None:
    """Whatever stands in a member, it is a record or a refusal, and no other error."""
    try:
        found = record(**{member: value})
    except RecordError:
        return
    assert NodeRecord.parse(found.content(), "web-1", config()) == found


@pytest.mark.parametrize("name", ["a", "web-1", "0", "a" * 63])
def test_labels_are_names(name: str) -> None:
    """Labels of the DNS in lower case are names of nodes and networks."""
    assert records.is_label(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a/b", "a_b", "é", "a" * 64, "a\n", "_vnis"]
)
def test_what_is_no_label_is_no_name(name: str) -> None:
    """Nothing that would lead to another's key is a name."""
    assert not records.is_label(name)


def test_keys_are_told_back() -> None:
    """A key of a claim says its block, and one of another form none."""
    for text in ("10.64.3.0/26", "fd00:64::1:0/112"):
        block = ipaddress.ip_network(text)
        assert keys.block_of("apps", keys.block("apps", block)) == block
    for other in ("10.64.3.0", "10.64.3.1_26", "010.64.3.0_26", "10.64.3.0_26_1", "x"):
        assert keys.block_of("apps", f"/cnipy/v1/apps/blocks/{other}") is None
    assert keys.node("apps", "web-1") == "/cnipy/v1/apps/nodes/web-1"
