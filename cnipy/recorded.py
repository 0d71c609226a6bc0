# SPDX-License-Identifier: Apache-2.0
"""Which attachments there are, by what plugins have written down of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import attachments, shapes
from cni_common.kernel import netns_identity
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field, replace
from cnipy.attachment import path_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.frame.rollback import Gather
    from cni_common.naming import Attachment
    from cnipy.suite import Suite

# Of a record of any plugin.
_NAMESPACE = dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, ""))


@dataclass
class Recorded:
    """An attachment, in the namespace that was written down, and by which plugins."""

    attachment: Attachment
    identity: str
    plugins: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return name_of(self.attachment)

    @property
    def lives(self) -> bool:
        """Whether its namespace is where it was.

        Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER.
        """
        return netns_identity.lives(self.attachment.netns, self.identity)


def name_of(attachment: Attachment) -> str:
    """Return network, container and interface in one word each."""
    return f"{attachment.network} {attachment.container_id}/{attachment.ifname}"


def recorded(suite: Suite, errors: Gather) -> dict[Attachment, Recorded]:
    """Return all attachments on record, in order; what cannot be read `errors` has."""
    found: dict[Attachment, Recorded] = {}
    for plugin in suite.names:
        if not suite.plugin(plugin).keeps_records:
            continue
        for owner, told in attachments.of_plugin(plugin, _NAMESPACE, errors):
            attachment = replace(owner, netns=told["netns"])
            known = found.setdefault(owner, Recorded(attachment, told["netnsIdentity"]))
            known.plugins.append(plugin)
    return dict(sorted(found.items(), key=lambda pair: pair[0]))


def chosen(
    found: dict[Attachment, Recorded],
    network: str | None,
    container: str | None,
    networks: Collection[str],
) -> list[Recorded]:
    """Return the attachments that are meant, all of them without a name.

    A container is named by its ID, by the beginning of it, or by its namespace as for
    ADD. Raises Code.UNKNOWN_CONTAINER or Code.INVALID_CONFIG for a name that nothing
    has; `networks` have configurations.
    """
    if network is None:
        return list(found.values())
    of_network = [item for owner, item in found.items() if owner.network == network]
    if not of_network and network not in networks:
        there = sorted({*networks, *(owner.network for owner in found)})
        hint = f"there are: {' '.join(there) or 'none'}"
        raise CNIError(Code.INVALID_CONFIG, f"find network {network}: unknown", hint)
    if container is None:
        return of_network
    ids = {item.attachment.container_id for item in of_network}
    meant = [item for item in of_network if _is(item, container)]
    if not meant and container:
        meant = [
            i for i in of_network if i.attachment.container_id.startswith(container)
        ]
    if len({item.attachment.container_id for item in meant}) != 1:
        msg = f"find container {container} on {network}: "
        msg += "several begin so" if meant else "it has no attachment"
        hint = f"there are: {' '.join(sorted(ids)) or 'none'}"
        raise CNIError(Code.UNKNOWN_CONTAINER, msg, hint)
    return meant


def _is(item: Recorded, container: str) -> bool:
    known = {item.attachment.container_id, item.attachment.netns}
    return container in known or path_of(container) == item.attachment.netns
