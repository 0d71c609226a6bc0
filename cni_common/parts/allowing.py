# SPDX-License-Identifier: Apache-2.0
"""The host accepts and keeps apart at all: the rules that all need, once."""

from __future__ import annotations

from cni_common.allowed import nftables, users
from cni_common.attachment.part import Part, differences_of
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Difference


@dataclass(frozen=True, kw_only=True)
class Allowing(Part):
    """The tables of nftables that anybody needs have their rules.

    It is no record's: what is allowed brings it, and takes it away with the last.
    """

    def ensure(self, node: Node) -> None:
        """Make the tables anew for everybody; raises Code.INTERNAL."""
        del node
        with users.lock():
            nftables.rebuild()

    def common(self) -> Self:
        """Return it: it is the host's."""
        return self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the first rule that is missing."""
        del node
        yield from differences_of(nftables.require_rules)
