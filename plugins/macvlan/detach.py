# SPDX-License-Identifier: Apache-2.0
"""DEL of an attachment that there is a record of: no configuration is read, and no
model of one imported.
"""

from __future__ import annotations

from cni_common import attached, attachments, delegate
from cni_common.naming import Attachment
from cni_common.rollback import Gather
from plugins.macvlan import release

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def detach(request: Request) -> bool:
    """Have nothing left of the attachment; false if there is no record of it.

    Link, then lease; who gave the address takes it back.
    """
    owner = Attachment.of(request)
    noted = attached.read(release.PLUGIN, owner, release.own)
    if noted is None:
        return False
    with Gather() as each:
        each(release.recorded, owner, noted, request.netns)
        if noted.ipam:
            each(delegate.delete, noted.ipam, request)
        if not each.errors:
            attachments.delete(release.PLUGIN, owner)
    return True
