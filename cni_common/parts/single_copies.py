# SPDX-License-Identifier: Apache-2.0
"""A container behind a promiscuous bridge gets no packet twice (decision 27)."""

from __future__ import annotations

from cni_common import duplicates
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName


@dataclass(frozen=True, kw_only=True)
class SingleCopies(Part):
    """What is for the MAC of `inside` in the container is given to it once."""

    in_rules = True
    inside: LinkName

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.inside} in the container gets no packet twice"

    def ensure(self, node: Node) -> None:
        """Ensure the rules know the MAC; raises Code.INTERNAL."""
        node.undo(duplicates.release, node.attachment)
        duplicates.ensure(node.end(self.inside).mac, node.attachment)

    def remove(self, node: Node) -> None:
        """Remove the attachment's elements. Raises Code.INTERNAL."""
        duplicates.release(node.attachment, expected=True)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is missing of the rules."""
        yield from differences_of(duplicates.check, node.end(self.inside).mac)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove what is the attachment's by its own words."""
        duplicates.release(node.attachment)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Remove the elements of attachments of `network` that are not `valid`."""
        duplicates.collect(network, valid)
