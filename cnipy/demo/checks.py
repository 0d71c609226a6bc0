# SPDX-License-Identifier: Apache-2.0
"""What the demonstration has seen to hold: one line each, on standard output."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, field
from cnipy.demo.lookup import look_up
from cnipy.demo.traffic import request

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Checks:
    """What was seen to hold, or not to."""

    seen: list[dict[str, object]] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """The sentences that did not hold."""
        return [str(each["sentence"]) for each in self.seen if not each["holds"]]

    def holds(self, sentence: str, *, good: bool, seen: str = "") -> None:
        """Print one line of the story, and remember it."""
        print(
            f"  {'PASS' if good else 'FAIL'}  {sentence}{f'  ({seen})' if seen else ''}"
        )
        self.seen.append({"sentence": sentence, "holds": good, "seen": seen})

    def succeeds(self, sentence: str, step: Callable[[], None]) -> None:
        """A verb does not fail."""
        try:
            step()
        except CNIError as error:
            self.holds(sentence, good=False, seen=str(error))
        else:
            self.holds(sentence, good=True)

    def answers(
        self, sentence: str, source: str, target: tuple[str, int], expected: str
    ) -> None:
        """A request gets through; `expected` is "NAME PEER", and PEER may be absent."""
        try:
            name, peer = request(source, *target)
        except OSError as error:
            self.holds(sentence, good=False, seen=str(error))
            return
        wanted_name, _, wanted_peer = expected.partition(" ")
        good = name == wanted_name and wanted_peer in {"", peer}
        self.holds(sentence, good=good, seen=f"{name} saw {peer}")

    def finds(self, sentence: str, source: str, question: tuple[str, str, str]) -> None:
        """A name leads to an address; `question` is server, name, address."""
        server, name, address = question
        try:
            found = look_up(source, server, name, ipaddress.ip_address(address).version)
        except OSError as error:
            self.holds(sentence, good=False, seen=str(error))
            return
        seen = f"{name} is {', '.join(found) or 'nothing'}"
        self.holds(sentence, good=found == [address], seen=seen)
