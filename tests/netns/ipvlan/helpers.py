# SPDX-License-Identifier: Apache-2.0
"""Configurations that the tests of ipvlan share."""

from __future__ import annotations

from typing import Any

from netns.macvlan.helpers import DUAL


def conf(**keys: Any) -> dict[str, Any]:
    """Return an ipvlan on the uplink of the host; a key that is None is left out."""
    whole = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "ipvlan",
        "master": "eth0",
        "ipam": DUAL,
        **keys,
    }
    return {key: value for key, value in whole.items() if value is not None}
