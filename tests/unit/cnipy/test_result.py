# SPDX-License-Identifier: Apache-2.0
"""Addresses and namespaces are found in results of every version, and in no others."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from cnipy import result


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"ips": [{"address": "10.9.0.2/24"}, {"address": "fd09::2/64"}]}, 2),
        ({"ip4": {"ip": "10.9.0.2/24"}, "ip6": {"ip": "fd09::2/64"}}, 2),
        ({"ips": [{"address": "10.9.0.2/24"}, {"address": 7}, "x", {}]}, 1),
        ({"ips": [{"address": "10.9.0.2.1/24"}], "ip4": []}, 0),
        ({"ips": {"address": "10.9.0.2/24"}}, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_addresses(document: Any, found: int) -> None:
    """What is malformed counts as absent, and what is beside it does not."""
    wanted = [ip_address("10.9.0.2"), ip_address("fd09::2")][:found]
    assert result.addresses(document) == frozenset(wanted)


@pytest.mark.parametrize(
    ("interfaces", "found"),
    [
        (
            [{"name": "cni0"}, {"name": "eth0", "sandbox": "/run/netns/a"}],
            "/run/netns/a",
        ),
        ([{"name": "eth1", "sandbox": "/run/netns/a"}], ""),
        ([{"name": "eth0", "sandbox": "vm-7"}], ""),
        ([{"name": "eth0", "sandbox": 7}, "eth0", None], ""),
        ({"name": "eth0", "sandbox": "/run/netns/a"}, ""),
    ],
)
def test_namespace(interfaces: Any, found: str) -> None:
    """It is where the interface is, if that is a path."""
    assert result.namespace({"interfaces": interfaces}, "eth0") == found


@pytest.mark.parametrize("document", [[], None, "eth0", {"interfaces": None}])
def test_no_namespace(document: Any) -> None:
    """What is no result, or has no interfaces, tells of none."""
    assert result.namespace(document, "eth0") == ""
