# SPDX-License-Identifier: Apache-2.0
"""VRFs: links whose ports have their routes in a table of their own (ip-link(8))."""

from __future__ import annotations

from cni_common.kernel import links
from cni_common.kernel.attributes import Attributes
from cni_common.kernel.link_answer import BODY, INFO_DATA, INFO_KIND, LINKINFO
from cni_common.kernel.netlink import NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.netlink import Netlink

KIND = "vrf"
_TABLE = 1  # IFLA_VRF_TABLE


class _Answer:
    """A message about a link, to be decoded into the `table` of a VRF, 0 of others."""

    table = 0

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the table, if the link is a VRF."""
        described = Attributes(self._message, BODY).nested(LINKINFO)
        if described.text(INFO_KIND) == KIND:
            self.table = described.nested(INFO_DATA).number(_TABLE)


def tables(netlink: Netlink) -> set[int]:
    """Return the tables of all VRFs; raises Code.INTERNAL."""
    question = LinkRequest(links.described(KIND))
    try:
        found = netlink.dump(question, links.RTM_GETLINK, _Answer)
    except NetlinkError as error:
        raise refused("list links", error) from error
    return {answer.table for answer in found if answer.table}
