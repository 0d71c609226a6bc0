# SPDX-License-Identifier: Apache-2.0
"""Which attachments there are, by what plugins have written down of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import attachments, shapes
from cni_common.attachment import record
from cni_common.kernel import netns_identity
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass, field, replace
from cnipy.attachment import path_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.attachment.record import Record
    from cni_common.naming import Attachment
    from cni_common.rollback import Gather
    from cnipy.suite import Suite

# Of a record of any plugin.
_NAMESPACE = dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, ""))


@dataclass
class Recorded:
    """An attachment, in the namespace that was written down; and by which plugins.

    `records` has those whose attachments consist of parts, `others` names the rest.
    """

    attachment: Attachment
    identity: str
    records: dict[str, Record] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return name_of(self.attachment)

    @property
    def lives(self) -> bool:
        """Whether its namespace is where it was; raises code 5 or 11."""
        return netns_identity.lives(self.attachment.netns, self.identity)


def name_of(attachment: Attachment) -> str:
    """Return network, container and interface in one word each."""
    return f"{attachment.network} {attachment.container_id}/{attachment.ifname}"


def recorded(suite: Suite, each: Gather) -> dict[Attachment, Recorded]:
    """Return all attachments on record, in order; what cannot be read `each` has."""
    found: dict[Attachment, Recorded] = {}
    for plugin in suite.names:
        for owner, path, identity, noted in _of_plugin(suite, plugin, each):
            attachment = replace(owner, netns=path)
            known = found.setdefault(owner, Recorded(attachment, identity))
            if noted is None:
                known.others.append(plugin)
            else:
                known.records[plugin] = noted
    return dict(sorted(found.items(), key=lambda pair: pair[0]))


def _of_plugin(
    suite: Suite, plugin: str, each: Gather
) -> Iterator[tuple[Attachment, str, str, Record | None]]:
    if suite.plugin(plugin).scheme is not None:
        for owner, noted in record.of_plugin(plugin, each):
            yield owner, noted.netns, noted.netns_identity, noted
    elif suite.plugin(plugin).keeps_records:
        for owner, told in attachments.of_plugin(plugin, _NAMESPACE, each):
            yield owner, told["netns"], told["netnsIdentity"], None


def chosen(
    found: dict[Attachment, Recorded],
    network: str | None,
    container: str | None,
    networks: Collection[str],
) -> list[Recorded]:
    """Return the attachments that are meant, all of them without a name.

    A container is named by its ID, by the beginning of it, or by its namespace as for
    ADD. Raises code 3 or 7 for a name that nothing has; `networks` have configurations.
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
