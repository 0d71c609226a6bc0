# SPDX-License-Identifier: Apache-2.0
"""A port may send from the container's own MAC only."""

from __future__ import annotations

from cni_common import naming, spoofcheck
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.frame.rollback import Gather
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName, Mac


@dataclass(frozen=True, kw_only=True)
class SpoofGuard(Part):
    """Frames that come in by `port` are dropped unless they are from `mac`.

    An empty `mac` is what `inside` has in the container.
    """

    in_rules = True
    port: LinkName
    mac: Mac = ""
    inside: LinkName = ""

    def __str__(self) -> str:
        """Return the sentence."""
        return f"frames from {self.port} pass only with the MAC {self.mac or 'it has'}"

    def ensure(self, node: Node) -> None:
        """Ensure the rules; raises Code.INTERNAL."""
        node.undo(spoofcheck.release, self.port, node.attachment)
        spoofcheck.ensure(self.port, self._mac(node), node.attachment)

    def remove(self, node: Node) -> None:
        """Remove the port's elements. Raises Code.INTERNAL."""
        spoofcheck.release(self.port, node.attachment, expected=True)

    def lasting(self) -> Self:
        """Return it with the MAC that plugins gave: the container changes its own."""
        mac = spoofcheck.known(self.port) or self.mac
        return replace(self, mac=mac, inside="") if mac else self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is missing of the rules."""
        yield from differences_of(spoofcheck.check, self.port, self._mac(node))

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove what guards the port that the attachment would have."""
        from cni_common.reference import spoofing  # noqa: PLC0415 - rare: a foreign attachment

        with Gather() as errors:
            port = naming.host_veth(node.attachment)
            errors.attempt(spoofcheck.release, port, node.attachment)
            errors.attempt(spoofing.delete, node.attachment)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Guard no port of an attachment of `network` that is not `valid`."""
        spoofcheck.collect(network, valid)

    def _mac(self, node: Node) -> str:
        # A later plugin of the chain may have given it another one.
        return node.end(self.inside).mac if self.inside else self.mac
