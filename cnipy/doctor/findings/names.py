# SPDX-License-Identifier: Apache-2.0
"""A dnsmasq that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination

_KINDS = frozenset({"name_server", "names"})


def find(node: Examination) -> Iterator[Finding]:
    """Yield networks whose containers cannot find each other by name."""
    told: dict[str, str] = {}
    for lack in node.lacks:
        if lack.part.kind() in _KINDS:
            told.setdefault(lack.held.network, lack.text)
    for network, cause in told.items():
        what = "containers do not find each other by name"
        yield Finding("dnsmasq-dead", what, cause, ("cnipy repair",), network)
