# SPDX-License-Identifier: Apache-2.0
"""portmap: the table on its page is the one in a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import run
from netns.portmap.helpers import NODE, TABLE, Node, mapping

if TYPE_CHECKING:
    from lab import Cni, Host

PAGE = Path(__file__).parents[3] / "docs/plugins/portmap.md"
PRINTED_BY = "nftables v1.0.6"


def test_page_shows_the_table(host: Host, cni: Cni) -> None:
    """The page has what nft prints after the mappings that it names."""
    if not run("nft", "--version").startswith(PRINTED_BY):
        pytest.skip(f"other versions than {PRINTED_BY} print priorities otherwise")
    node = Node(host, cni)
    at = mapping(5353, 53, protocol="udp", hostIP=NODE)
    node.publish(node.container(2), 2, mapping(8080), at, container_id="web")
    blocks = PAGE.read_text().split("```\n")
    (shown,) = (block for block in blocks if block.startswith("table inet"))
    assert run("nft", "list", *TABLE) == shown
