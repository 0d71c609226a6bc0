# SPDX-License-Identifier: Apache-2.0
"""DEL of an attachment that was made while its network had another name.

Runtimes such as containerd delete under the list that they have now. What the plugins
did is recorded under the list that there was, and a list that was renamed or replaced
meanwhile must not make anybody forget it.
"""

from __future__ import annotations

from cni_common import attachments
from cni_common.naming import Attachment

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def requests(plugin: str, request: Request) -> list[Request]:
    """Return the DEL as `plugin` is to serve it: under each name that has a record.

    That of the request comes before all others; it is returned, too, where nothing
    is recorded at all.
    """
    owner = Attachment.of(request)
    if attachments.exists(plugin, owner):
        return [request]
    others = attachments.under_other_networks(plugin, owner)
    for other in others:
        request.log.warning(f"network {owner.network} was {other.network} on ADD")
    return [request.on_network(other.network) for other in others] or [request]
