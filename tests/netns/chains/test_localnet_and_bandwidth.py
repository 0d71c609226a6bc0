# SPDX-License-Identifier: Apache-2.0
"""A link with route_localnet whose container is limited: guard and limits together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import run

if TYPE_CHECKING:
    from lab import Cni, Host

BASE = {"cniVersion": "1.1.0", "name": "net"}
PTP = BASE | {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.1.2.0/24"}}
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
KEYS = {
    "portmap": {"runtimeConfig": {"portMappings": [PORT]}},
    "bandwidth": {"egressRate": 800_000, "egressBurst": 800_000},
}


@pytest.mark.parametrize("order", [list(KEYS), list(reversed(KEYS))])
def test_guard_is_asked_before_what_redirects(
    host: Host, cni: Cni, order: list[str]
) -> None:
    """Either plugin may come first; each goes alone and leaves the other's filter."""
    space = host.space()
    previous = cni.ok("ptp", "ADD", PTP, netns=space)
    link = previous["interfaces"][0]["name"]
    calls = {
        plugin: BASE | {"type": plugin, "prevResult": previous} | keys
        for plugin, keys in KEYS.items()
    }
    for plugin in order:
        cni.ok(plugin, "ADD", calls[plugin], netns=space)
    shown = run("tc", "filter", "show", "dev", link, "ingress")
    assert shown.startswith("filter protocol all pref 1 bpf")
    assert "mirred" in shown
    while order:
        for plugin in order:
            cni.ok(plugin, "CHECK", calls[plugin], netns=space)
        last = order.pop()
        cni.ok(last, "DEL", calls[last], netns=space)
    assert "ffff:" not in run("tc", "qdisc", "show", "dev", link)
