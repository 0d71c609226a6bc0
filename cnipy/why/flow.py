# SPDX-License-Identifier: Apache-2.0
"""The packets that are followed: of one protocol, from one socket, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from cni_common.kernel.nft_trace import Event
    from cni_common.kernel.sightings import Sighting
    from cni_common.spec.fields import IPAddress

TCP, UDP, ICMP = "tcp", "udp", "icmp"
_NUMBERS = {(TCP, 4): 6, (UDP, 4): 17, (ICMP, 4): 1, (ICMP, 6): 58}
_ECHO_REQUESTS, _ECHO_REPLIES = {0x0800, 0x8000}, {0x0000, 0x8100}  # type and code


class Goal(NamedTuple):
    """Where a packet is to go; of an echo the port is 0. `size` in bytes, 0 for any."""

    address: IPAddress
    port: int
    protocol: str
    size: int = 0

    def __str__(self) -> str:
        if not self.port:
            return f"{self.address} ({self.protocol})"
        at = f"[{self.address}]" if self.address.version == 6 else self.address  # noqa: PLR2004 - the family's number
        return f"{at}:{self.port}/{self.protocol}"


class Flow(NamedTuple):
    """What a probe sends: `number` is its port, or the identifier of its echo."""

    goal: Goal
    number: int

    @property
    def protocol_number(self) -> int:
        """The protocol as IP has it."""
        goal = self.goal
        fallback = _NUMBERS[(goal.protocol, 4)]
        return _NUMBERS.get((goal.protocol, goal.address.version), fallback)

    def is_request(self, seen: Event | Sighting) -> bool | None:
        """Tell whether a packet is one of the probe's, or of its answer; None: neither.

        Of an echo an event has type and code in the place of the source's port.
        """
        if self.goal.protocol == ICMP and hasattr(seen, "chain"):
            is_request = seen.sport in _ECHO_REQUESTS
            return is_request if is_request or seen.sport in _ECHO_REPLIES else None
        if self.number in {seen.sport, seen.dport}:
            return seen.sport == self.number
        return None
