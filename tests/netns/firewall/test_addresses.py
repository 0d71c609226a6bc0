# SPDX-License-Identifier: Apache-2.0
"""firewall: which addresses of prevResult are the container's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from netns.firewall.helpers import (
    Guarded,
    drop_forwarded,
    members,
    needs_variant,
    request,
)

if TYPE_CHECKING:
    from lab import Cni, Host

# What plugins that are not ours say of an address's interface.
TOLD: dict[str, dict[str, Any]] = {
    "no index": {},
    "no sandbox": {"interface": 0},
    "beyond": {"interface": 3},
    "minus one": {"interface": -1},
}


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("drops", ("nothing", "all"))
def test_every_address_of_prev_result_counts(
    host: Host, cni: Cni, told: str, drops: str
) -> None:
    """Whatever prevResult says of an address's interface, its traffic passes."""
    node = Guarded(host, cni)
    if drops == "all":
        needs_variant("nft")
        drop_forwarded()
    space = node.container(2)
    conf, options = request(space, 2)
    given = [{"address": ip["address"]} for ip in conf["prevResult"]["ips"]]
    conf["prevResult"]["ips"] = [ip | TOLD[told] for ip in given]
    result = cni.ok("firewall", "ADD", conf, **options)
    assert result["ips"] == conf["prevResult"]["ips"]
    assert members("containers4") == (["10.1.0.2"] if drops == "nothing" else [])
    assert members("containers6") == (["fd01::2"] if drops == "nothing" else [])
    assert space.reaches("198.51.100.2")
    cni.ok("firewall", "CHECK", conf, **options)
