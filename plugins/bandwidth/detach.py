# SPDX-License-Identifier: Apache-2.0
"""Taking limits away: by the record of the attachment, so that DEL reads no
configuration and imports no model of one.
"""

from __future__ import annotations

from cni_common.kernel.netlink import Netlink
from cni_common.naming import Attachment
from plugins.bandwidth import record, shaping

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def detach(request: Request) -> bool:
    """Have no limit on the attachment; false if there is no record of it."""
    return recorded(Attachment.of(request))


def recorded(owner: Attachment) -> bool:
    """Have no limit on `owner`; false if there is no record of it."""
    noted = record.read(owner)
    if noted is None:
        return False
    with Netlink() as host:
        shaping.release(host, noted)
    record.delete(owner)
    return True
