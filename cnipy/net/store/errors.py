# SPDX-License-Identifier: Apache-2.0
"""Why a store did not do what it was asked for."""

from __future__ import annotations

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence


class StoreError(Exception):
    """The store answers, and refuses; asking again will not help."""


class DeniedError(StoreError):
    """The store does not allow it to this node."""


class AwayError(StoreError):
    """Nobody answers; `causes` has one for each place that was asked."""

    def __init__(self, doing: str, causes: Sequence[str]) -> None:
        super().__init__(f"{doing}: the store is away: {'; '.join(causes)}")
        self.causes = tuple(causes)
