# SPDX-License-Identifier: Apache-2.0
"""Addresses are found in results of every version, and in no others."""

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
