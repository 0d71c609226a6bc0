# SPDX-License-Identifier: Apache-2.0
"""The names and addresses of an attachment's veth pair, before it exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import links
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from cni_common.kernel.netlink import Netlink
    from cni_common.naming import Attachment

_NAME_ATTEMPTS = 10


@dataclass(frozen=True)
class Pair:
    """The pair's names, hardware addresses and the alias of its host end."""

    host: str
    container: str
    host_mac: str
    mac: str
    alias: str


def plan(host: Netlink, owner: Attachment, mac: str) -> Pair:
    """Return a pair for `owner` whose host name is derived from it and free."""
    for attempt in range(_NAME_ATTEMPTS):
        name = naming.host_veth(owner, attempt)
        if links.get(host, name) is None:
            macs = (naming.random_mac(), mac or naming.random_mac())
            return Pair(name, owner.ifname, *macs, naming.alias(owner))
    msg = f"name host end of {owner.ifname}: {_NAME_ATTEMPTS} names are taken"
    raise CNIError(Code.INTERNAL, msg)
