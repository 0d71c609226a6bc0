# SPDX-License-Identifier: Apache-2.0
"""A network is left while its agent hears of the others, or its store goes away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import ip, run
from netns.net import helpers

from cni_common.pool import held
from cni_common.spec.errors import CNIError
from cnipy.net import dataplane, keys
from cnipy.net.agent import entry, holding
from cnipy.net.agent.member import Member
from cnipy.net.cache import Cache
from cnipy.net.conf import NetFile
from cnipy.net.membership import claims
from cnipy.net.store import AwayError, Settings, open_store

if TYPE_CHECKING:
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store


class Leaving:
    """What the agent asks of the others, while `cnipy net leave` is faster."""

    seen, refused, is_put_back, is_anew = 1, {}, False, False  # type: ignore[var-annotated]
    is_missing_us = False

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
    member._others._follower = Leaving(config)  # type: ignore[assignment]
    with pytest.raises(CNIError, match="has not joined it"):
        member.poll()
    assert member.is_over
    assert not [each for each in ip("link") if each["ifname"].startswith("cnipy.")]
    assert not Path(held.ROOT, config.name).exists()
    member.close()


class Going:
    """A store that is away from the call number `at` on."""

    def __init__(self, store: Store, at: int) -> None:
        self._store, self._left = store, at

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left <= 0:
            raise AwayError(name, ["a member: no answer"])
        return getattr(self._store, name)


@pytest.mark.usefixtures("host")
def test_what_is_not_given_back_is_on_disk_still(tmp_path: Path) -> None:
    """Whenever the store goes away: the second call gives all of it back."""
    settings = Settings.parse({"kind": "file", "directory": str(tmp_path / "store")})
    store, config = open_store(settings, create=True), helpers.config("host-gw")
    own, kept = helpers.record(1), Cache(config.name)
    for at in range(1, 100):
        store.put(keys.config(config.name), config.content())
        kept.keep_config(config)
        kept.keep_own(own)
        holding.write(config, own)
        claims.register(store, config, own)
        for block in own.blocks:
            claims.claim_block(store, config, own, block)
        claims.put(store, config, own)
        try:
            entry.leave(Going(store, at), kept)  # type: ignore[arg-type]
        except AwayError:
            assert kept.own(config) == own
            _, is_given_back = entry.leave(store, kept)
            assert is_given_back
            assert [each.key for each in store.list(keys.ROOT)] == [
                "/cnipy/v1/apps/config"
            ]
            assert not Path(held.ROOT, config.name).exists()
        else:
            break
    assert at > 10  # calls, each of which failed once
    store.close()
