# SPDX-License-Identifier: Apache-2.0
"""Names between the nodes: this one's are told, and those of others are answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from cni_common.spec.errors import CNIError
from cnipy.net.names.announcer import Announcer
from cnipy.net.names.answerer import Answerer
from cnipy.net.refusal import store_refusal
from cnipy.net.store import open_store

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnipy.net.agent.member import Member
    from cnipy.net.conf import NetFile
    from cnipy.net.records import NetworkConfig
    from cnipy.net.store import Store

_AGAIN = 60.0  # seconds until a port that is taken is tried again


class Announcing:
    """Has the store know the names of this node in one network."""

    def __init__(
        self, member: Member, store: Store, tell: Callable[[str], None]
    ) -> None:
        self._member, self._store, self._tell = member, store, tell
        self._by: Announcer | None = None
        self._known: tuple[NetworkConfig, str] | None = None  # of whom it tells

    def announce(self) -> None:
        """Tell the store what is new; raises CNIError."""
        config, own = self._member.known()
        known = config, own.identity
        if self._by is None or self._known != known:
            self._by, self._known = Announcer(self._store, config, own), known
        with store_refusal("announce names"):
            for text in self._by.turn():
                self._tell(f"network {self._member.name}: {text}")


class Answering:
    """Answers this node's dnsmasqs for all networks."""

    def __init__(self, conf: NetFile, tell: Callable[[str], None]) -> None:
        self._tell = tell
        with store_refusal("open the store"):
            self._by = Answerer(open_store(conf.settings()))

    def learn(self, members: Iterable[Member]) -> None:
        """Answer for the networks of these members, and for no others."""
        known = []
        for member in members:
            with suppress(CNIError):  # it is told where it is polled
                known.append(member.known())
        self._by.learn(known)

    async def serve(self) -> None:
        """Answer until cancelled; where the port is taken, as soon as it is not."""
        before = ""
        while True:
            try:
                await self._by.serve()
            except CNIError as error:
                if str(error) != before:
                    self._tell(str(error))
                before = str(error)
            await asyncio.sleep(_AGAIN)
