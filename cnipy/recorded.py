# SPDX-License-Identifier: Apache-2.0
"""Which attachments there are, by what plugins have written down of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import attachments, shapes
from cni_common.kernel import netns_identity
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field, replace
from cnipy import result

if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.frame.rollback import Gather
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress
    from cnipy.containers import Container
    from cnipy.suite import Suite

# Of a record of any plugin.
_TOLD = {
    **dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, "")),
    "result": (result.addresses, frozenset()),
}


@dataclass
class Recorded:
    """An attachment, in the namespace that was written down, and by which plugins.

    addresses: those that its results tell of.
    """

    attachment: Attachment
    identity: str
    plugins: list[str] = field(default_factory=list)
    addresses: frozenset[IPAddress] = frozenset()

    def __str__(self) -> str:
        return name_of(self.attachment)

    @property
    def lives(self) -> bool:
        """Whether its namespace is where it was.

        Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER.
        """
        return netns_identity.lives(self.attachment.netns, self.identity)

    def is_of(self, container: Container) -> bool:
        """Tell whether it is an attachment of the container."""
        return container.has(self.attachment, self.identity)


def name_of(attachment: Attachment) -> str:
    """Return network, container and interface in one word each."""
    return f"{attachment.network} {attachment.container_id}/{attachment.ifname}"


def recorded(suite: Suite, errors: Gather) -> dict[Attachment, Recorded]:
    """Return all attachments on record, in order; what cannot be read `errors` has."""
    found: dict[Attachment, Recorded] = {}
    for plugin in suite.recording:
        for owner, told in attachments.of_plugin(plugin, _TOLD, errors):
            known = found.get(owner)
            if known is None:
                attachment = replace(owner, netns=told["netns"])
                known = found[owner] = Recorded(attachment, told["netnsIdentity"])
            known.plugins.append(plugin)
            known.addresses |= told["result"]
    return dict(sorted(found.items(), key=lambda pair: pair[0]))


def of_network(
    found: dict[Attachment, Recorded], network: str, networks: Collection[str]
) -> list[Recorded]:
    """Return the attachments of a network.

    Raises Code.INVALID_CONFIG for a name that nothing has; `networks` have
    configurations.
    """
    chosen = [item for owner, item in found.items() if owner.network == network]
    if not chosen and network not in networks:
        there = sorted({*networks, *(owner.network for owner in found)})
        hint = f"there are: {' '.join(there) or 'none'}"
        raise CNIError(Code.INVALID_CONFIG, f"find network {network}: unknown", hint)
    return chosen
