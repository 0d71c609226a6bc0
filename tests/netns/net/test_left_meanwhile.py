# SPDX-License-Identifier: Apache-2.0
"""A network that is left while its agent hears of the others is not made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.net import helpers

from cni_common.pool import held
from cni_common.spec.errors import CNIError
from cnipy.net import dataplane
from cnipy.net.agent.member import Member
from cnipy.net.cache import Cache
from cnipy.net.conf import NetFile
from cnipy.net.store import Settings, open_store

if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig


class Leaving:
    """What the agent asks of the others, while `cnipy net leave` is faster."""

    seen, refused, is_put_back, is_anew = 1, {}, False, False  # type: ignore[var-annotated]

    def __init__(self, config: NetworkConfig) -> None:
        self.config, self.own = config, None

    def poll(self) -> dict[str, Any]:
        """Return that a node came, when this one has left."""
        dataplane.remove(self.config)
        Cache(self.config.name).remove()
        return {"node-2": helpers.record(2)}


@pytest.mark.usefixtures("host")
def test_nothing_is_made_again(tmp_path: Path) -> None:
    """Neither device nor files: leave was the last word."""
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    store = {"kind": "file", "directory": str(tmp_path / "store")}
    open_store(Settings.parse(store), create=True).close()
    config, own = helpers.config("gpe"), helpers.record(1)
    for address in own.underlay:
        run("ip", "addr", "add", str(address), "dev", "up0")
    run("ip", "link", "set", "up0", "up")
    kept = Cache(config.name)
    kept.keep_config(config)
    kept.keep_own(own)
    dataplane.prepare(config, own)
    member = Member(config.name, NetFile.model_validate({"store": store}), print)
    member._follower = Leaving(config)  # type: ignore[assignment]
    with pytest.raises(CNIError, match="has not joined it"):
        member.poll()
    assert member.is_over
    assert not [each for each in ip("link") if each["ifname"].startswith("cnipy.")]
    assert not Path(held.ROOT, config.name).exists()
    member.close()
