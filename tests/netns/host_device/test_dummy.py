# SPDX-License-Identifier: Apache-2.0
"""Dummy links: a device to lend without hardware, and a holder of service addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.host_device.helpers import conf, device, on_host
from netns.macvlan.helpers import shown

if TYPE_CHECKING:
    from lab import Cni, Space

pytestmark = pytest.mark.needs_kernel("dummy")


def test_dummy_is_lent_and_comes_back(cni: Cni, container: Space) -> None:
    """host-device gives it the container's name and address, and takes both back."""
    run("ip", "link", "add", "dummy7", "type", "dummy")
    mac = device("dummy7")["address"]
    lent = conf(device="dummy7")
    cni.ok("host-device", "ADD", lent, netns=container)
    link = shown(container)
    assert (link["linkinfo"]["info_kind"], link["address"]) == ("dummy", mac)
    assert on_host() == ["lo"]
    cni.ok("host-device", "DEL", lent, netns=container)
    assert device("dummy7")["address"] == mac
