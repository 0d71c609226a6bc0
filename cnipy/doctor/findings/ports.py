# SPDX-License-Identifier: Apache-2.0
"""Published ports that a process of the host holds, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.published import ledger, listening
from cnipy.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination


def find(node: Examination) -> Iterator[Finding]:
    """Yield processes that nobody reaches, for a container has their port."""
    every = ledger.load_all(node.doubts)
    listened = listening.ports(every)
    if not listened:
        return
    asked = {port: claims for port, claims in every.items() if port in listened}
    for held in node.held:
        if not held.parts("published_ports"):
            continue
        attachment = held.item.attachment
        own = {port: c for port, c in ledger.own(asked, attachment).items() if c}
        for loser in listening.losers(own):
            what = f"a process of the host is not reached: {held.item} has its port"
            cure = ("have the process listen at another port, or publish another",)
            yield Finding("port-held", what, str(loser), cure, held.network)
