# SPDX-License-Identifier: Apache-2.0
"""macvlan: ADDs and DELs for many containers at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from at_once import at_once
from netns.bridge.helpers import held
from netns.macvlan.helpers import conf
from pictures import picture

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host


def test_containers_at_once(cni: Cni, host: Host, tmp_path: Path) -> None:
    """Eight ADDs at the same time give eight macvlans with addresses of their own."""
    outside = host.outside()
    spaces = [host.space() for _ in range(8)]
    before = picture(*spaces, outside)
    calls: list[dict[str, Any]] = [
        {
            "plugin": "macvlan",
            "command": "ADD",
            "conf": conf(),
            "netns": space,
            "container_id": f"c{number}",
        }
        for number, space in enumerate(spaces)
    ]
    answers = at_once(cni, calls, tmp_path)
    assert [status for status, _ in answers] == [0] * 8
    given = [result["ips"][0]["address"] for _, result in answers]
    assert given == [held(space)[0] for space in spaces]
    assert len(set(given)) == 8
    deletes = [{**call, "command": "DEL"} for call in calls]
    assert [status for status, _ in at_once(cni, deletes, tmp_path)] == [0] * 8
    assert picture(*spaces, outside) == before
