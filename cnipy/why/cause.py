# SPDX-License-Identifier: Apache-2.0
"""Where a packet ended, why, and what would change that."""

from __future__ import annotations

from typing import Any

from cni_common.spec.values import dataclass


@dataclass(frozen=True)
class Cause:
    """One end of a packet's way.

    name: which kind of end it is; where: the place; text: what happened; change: what
    would have it go on; rule: the rule that decided, as nft prints it.
    """

    name: str
    where: str
    text: str
    change: tuple[str, ...] = ()
    rule: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "change": list(self.change)}
