# SPDX-License-Identifier: Apache-2.0
"""Names of parameters, and values that mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_common.parts.sysctl import is_same
from plugins.tuning.names import parameter

PATHS = (
    ("net.core.somaxconn", "net/core/somaxconn"),
    ("net/core/somaxconn", "net/core/somaxconn"),
    ("net.ipv4.conf.IFNAME.rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
    ("net/ipv4/conf/IFNAME/rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
    ("net.ipv4.conf.eth0/5.rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
    ("net.ipv4.neigh.IFNAME.IFNAME", "net/ipv4/neigh/eth0.5/IFNAME"),
    ("net.nf_conntrack_max", "net/nf_conntrack_max"),
)


@pytest.mark.parametrize(("key", "path"), PATHS)
def test_path_of_a_key(key: str, path: str) -> None:
    """A key in either form leads to one file; the placeholder is replaced once."""
    assert parameter(key, "eth0.5") == path


@given(
    st.text(alphabet="net./I FNAME\n\0-é", max_size=20), st.sampled_from(["a", "x."])
)
def test_no_key_leaves_net(key: str, ifname: str) -> None:
    """Whatever the key, its path stays below /proc/sys/net, or there is none."""
    try:
        path = parameter(f"net{key}", ifname)
    except ValueError:
        return
    parts = path.split("/")
    assert parts[0] == "net"
    assert len(parts) > 1
    assert not {"", ".", ".."} & set(parts)


SAME = (
    ("1", "1"),
    ("4096\t131072\t6291456", "4096 131072  6291456"),
    ("512", "0x200"),
    ("8", "010"),
    ("-1", "-1"),
    ("0", "00"),
    ("reno cubic", "reno cubic"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
)
OTHER = (("1", "0"), ("1 2", "1"), ("cubic", "reno"), ("08", "8"), ("a:b", "a:c"))


@pytest.mark.parametrize(("shown", "wanted"), SAME)
def test_same_value(shown: str, wanted: str) -> None:
    """Values count as equal that the kernel would take for equal."""
    assert is_same(shown, wanted)


@pytest.mark.parametrize(("shown", "wanted"), (*OTHER, (None, "1")))
def test_other_value(shown: str | None, wanted: str) -> None:
    """Values that differ, or that nobody can read, are not equal."""
    assert not is_same(shown, wanted)
