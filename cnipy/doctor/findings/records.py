# SPDX-License-Identifier: Apache-2.0
"""Records that nobody can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.doctor.examination import Examination

NAME = "unreadable-record"
_WHAT = "CHECK, repair and show pass an attachment over: nobody can read its record"
_CURE = (
    "cnipy del NETWORK NETNS   # by what the kernel tells, and the record goes",
    "cnipy add NETWORK NETNS   # or the container anew",
)


def find(node: Examination) -> Iterator[Finding]:
    """Yield each record that is damaged, or that the system does not let us read."""
    for text in node.unreadable:
        yield Finding(NAME, _WHAT, text, _CURE)
