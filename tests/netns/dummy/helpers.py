# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of dummy share."""

from __future__ import annotations

from typing import Any

SERVICE = {
    "type": "static",
    "addresses": [{"address": "192.0.2.10/32"}, {"address": "2001:db8:5::10/128"}],
}
LEASE = {"type": "host-local", "ranges": [[{"subnet": "10.5.0.0/24"}]]}


def conf(**keys: Any) -> dict[str, Any]:
    """Return a dummy link with service addresses; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "dummy",
        "ipam": SERVICE,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}
