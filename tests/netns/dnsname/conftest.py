# SPDX-License-Identifier: Apache-2.0
"""What tests of dnsname share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import need
from netns.dnsname.helpers import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Cni, Host


@pytest.fixture
def node(host: Host, cni: Cni) -> Iterator[Names]:
    """A node whose containers get names."""
    need("dnsmasq")
    names = Names(host, cni)
    yield names
    names.close()
