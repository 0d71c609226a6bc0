# SPDX-License-Identifier: Apache-2.0
"""What leaves subnets for elsewhere gets the address of the link by which it leaves."""

from __future__ import annotations

from cni_common import masquerade
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.frame.rollback import Gather
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.spec.fields import IPNetwork


@dataclass(frozen=True, kw_only=True)
class Masqueraded(Part):
    """The `subnets` are masqueraded, but not towards `exempt`."""

    in_rules = True
    subnets: tuple[IPNetwork, ...]
    exempt: tuple[IPNetwork, ...] = ()

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        but = f", but not towards {_listed(self.exempt)}" if self.exempt else ""
        return f"{_listed(self.subnets)} is masqueraded{but}"

    def ensure(self, node: Node) -> None:
        """Ensure the rules of the subnets; raises Code.INTERNAL."""
        node.undo(self.remove, node)
        masquerade.ensure(node.attachment, self.subnets, self.exempt)

    def remove(self, node: Node) -> None:
        """Let go of the rules; those that nobody uses go.

        Raises Code.INTERNAL.
        """
        masquerade.release(node.attachment, self.subnets)

    def common(self) -> Self:
        """Return it: it is the host's."""
        return self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the first rule that is missing."""
        del node
        yield from differences_of(masquerade.check, self.subnets, self.exempt)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Let go of all rules, of whatever subnet."""
        from cni_common.reference import masquerading  # noqa: PLC0415 - rare: a foreign attachment

        with Gather() as errors:
            errors.attempt(masquerade.release, node.attachment)
            errors.attempt(masquerading.delete, node.attachment, node.held)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Let go of the rules for attachments of `network` that are not `valid`."""
        masquerade.collect(network, valid)


def _listed(networks: tuple[IPNetwork, ...]) -> str:
    return ", ".join(map(str, networks))
