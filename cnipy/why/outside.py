# SPDX-License-Identifier: Apache-2.0
"""A packet as somebody beyond a link would send it, and what he would hear."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from cni_common.kernel.injection import Injection
from cni_common.spec.errors import refused
from cni_common.spec.values import dataclass
from cnipy.why.flow import TCP, Flow
from cnipy.why.packet import RST, packet
from cnipy.why.probe import PATIENCE, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPAddress
    from cnipy.why.flow import Goal
    from cnipy.why.place import Place

_PAUSE = 0.05  # seconds between looks
_FIRST_PORT, _PORTS = 32768, 28000


@dataclass(frozen=True)
class Outside:
    """Who has `address` beyond a link of the host."""

    address: IPAddress
    link: Link


class OutsideProbe:
    """A packet from outside that the host has not received yet; raises CNIError."""

    def __init__(self, host: Place, source: Outside, goal: Goal) -> None:
        self._host, self._source = host, source
        self.flow = Flow(goal, _FIRST_PORT + secrets.randbelow(_PORTS))
        with host.inside():
            self._injection = Injection(host.netlink, source.link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._injection.close()

    def send(self, collect: Callable[[], None]) -> Outcome:
        """Have the link receive the packet, and return what leaves by it in return.

        `collect` has the places take what they have seen.
        """
        try:
            self._injection.put(packet(self.flow, self._source.address))
            until = time.monotonic() + PATIENCE
            outcome = Outcome("silent")
            while outcome.kind == "silent" and time.monotonic() < until:
                time.sleep(_PAUSE)
                collect()
                outcome = self._heard()
            if outcome.kind == "answered" and self.flow.goal.protocol == TCP:
                self._injection.put(packet(self.flow, self._source.address, RST))
        except OSError as error:
            raise refused(
                f"put a packet into {self._source.link.name}", error
            ) from error
        return outcome

    def _heard(self) -> Outcome:
        for seen in self._host.sightings:
            is_back = seen.out and seen.destination == self._source.address
            if not is_back or seen.link != self._source.link.name:
                continue
            if seen.is_error:
                return Outcome("refused", by=str(seen.source))
            if self.flow.is_request(seen) is False:
                return Outcome("refused" if seen.is_reset else "answered")
        return Outcome("silent")
