# SPDX-License-Identifier: Apache-2.0
"""The host as it is now, for who looks at many attachments and changes nothing.

Its links and the elements of nftables are listed once, not asked for one by one.
"""

from __future__ import annotations

from cni_common.kernel import links
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.nft_sets import Sets

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link


class Survey:
    """The links of the calling thread's namespace now; sets when they are asked for.

    Raises Code.INTERNAL.
    """

    def __init__(self) -> None:
        with Netlink() as host:
            found = links.every(host)
        self.by_name: dict[str, Link] = {link.name: link for link in found}
        self.by_index: dict[int, Link] = {link.index: link for link in found}
        self.sets = Sets()
