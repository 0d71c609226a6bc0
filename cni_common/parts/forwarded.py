# SPDX-License-Identifier: Apache-2.0
"""The host is a router for the IP versions of its containers; DEL leaves it one."""

from __future__ import annotations

from contextlib import ExitStack

from cni_common import state
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import forwarding
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import IPVersion


@dataclass(frozen=True, kw_only=True)
class Forwarded(Part):
    """Packets of the IP `versions` (4, 6) are forwarded by the host."""

    versions: tuple[IPVersion, ...]

    follows_lease = True

    def __str__(self) -> str:
        """Return the sentence."""
        listed = " and ".join(f"IPv{version}" for version in self.versions)
        return f"the host forwards {listed}"

    def ensure(self, node: Node) -> None:
        """Ensure they are forwarded; raises Code.INTERNAL.

        Nobody may rely on what a failing call is about to revert, so that who changes
        something keeps the lock until the end of its call.
        """
        with ExitStack() as locked:
            locked.enter_context(state.lock("forwarding"))
            changed = forwarding.enable(self.versions)
            if changed:
                node.undo(forwarding.revert, changed)
                node.hold(locked.pop_all())

    def common(self) -> Self:
        """Return it: it is the host's."""
        return self

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the versions that are not forwarded."""
        del node
        for version in self.versions:
            if not forwarding.is_enabled(version):
                msg = f"check forwarding: IPv{version} is not forwarded"
                yield Difference(msg)
