# SPDX-License-Identifier: Apache-2.0
"""The host publishes ports at all: what all attachments with such need, once."""

from __future__ import annotations

from cni_common.attachment.part import Part
from cni_common.parts.published_ports import missing
from cni_common.published import ledger, localnet, rules
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Difference, LinkName
    from cni_common.kernel.own_table import OwnTable
    from cni_common.published.rules import Scope


@dataclass(frozen=True, kw_only=True)
class Publishing(Part):
    """The table has the rules of all and of `scopes`; `links` let 127.0.0.1 through.

    It is no record's: what is published brings it, and takes it away with the last.
    """

    scopes: tuple[Scope, ...]
    links: tuple[LinkName, ...]

    def ensure(self, node: Node) -> None:
        """Make the table anew for everybody, and the links as wanted.

        Raises Code.INTERNAL.
        """
        with ledger.lock():
            if next(self._rules().lacking({}), None):
                ledger.rebuild()
            for link in self.links:
                localnet.require(link, node.attachment)

    def common(self) -> Self:
        """Return it: it is the host's."""
        return self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is missing."""
        del node
        for lack in self._rules().lacking({}):
            yield missing(lack.text)
        for link in self.links:
            yield from map(missing, localnet.lacking(link))

    def _rules(self) -> OwnTable:
        return rules.table(self.scopes)
