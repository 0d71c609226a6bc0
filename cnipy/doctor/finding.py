# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a node: what does not work, why, and what puts it right."""

from __future__ import annotations

from typing import Any

from cni_common.spec.values import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    name: which of the findings it is; what: what does not work; cure: commands, or
    what to write where; network: whose containers suffer, empty for those of all.
    """

    name: str
    what: str
    cause: str
    cure: tuple[str, ...]
    network: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "cure": list(self.cure)}
