# SPDX-License-Identifier: Apache-2.0
"""The link on which the macvlan is made."""

from __future__ import annotations

from cni_common.kernel import default_route, links
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.sides import Sides
    from plugins.macvlan.conf import MacvlanConf


def find(netlink: Netlink, conf: MacvlanConf) -> Link:
    """Return the master that `conf` names, else the link of the default route.

    Raises code 999 when there is none.
    """
    if conf.master:
        found = links.get(netlink, conf.master)
        if found is None:
            msg = f"find master {conf.master}: no such device"
            raise CNIError(Code.INTERNAL, msg)
        return found
    found = default_route.link(netlink)
    if found is None:
        msg = "find master: no default route interface found"
        raise CNIError(Code.INTERNAL, msg, "name a link in `master`")
    return found


def of(side: Sides, conf: MacvlanConf, noted: Attached | None) -> Link:
    """Return the master of an attachment: the one that ADD found, if that is noted.

    The default route may go by another link by now.
    """
    netlink = side.container if conf.link_in_container else side.host
    name = str(noted.own.get("master", "")) if noted and not conf.master else ""
    return links.existing(netlink, name) if name else find(netlink, conf)
