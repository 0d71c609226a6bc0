# SPDX-License-Identifier: Apache-2.0
"""The door to pyroute2: its message classes without the rest of the package.

`import pyroute2` loads every protocol that the package knows and an event loop. The
message classes need none of that, so the package is entered beside its __init__.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from types import ModuleType


def _enter_beside_init() -> None:
    if "pyroute2" in sys.modules:
        return
    spec = PathFinder.find_spec("pyroute2")
    if spec is None or spec.submodule_search_locations is None:
        msg = "pyroute2 is not installed"
        raise ImportError(msg)
    package = ModuleType("pyroute2")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["pyroute2"] = package


_enter_beside_init()

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402 - after the door
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402 - after the door
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402 - after the door

_QUEUE = ("IFLA_MACVLAN_BC_QUEUE_LEN", "uint32")
_macvlan = ifinfmsg.ifinfo.macvlan_data
if len(_macvlan.nla_map) == 7:  # noqa: PLR2004 - the number in if_link.h of the first that pyroute2 does not know
    _macvlan.nla_map = (*_macvlan.nla_map, _QUEUE)


def build_tables() -> None:
    """Have the tables made that pyroute2 makes when a message is first encoded."""
    veth = [("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", "eth0")]})]
    port = [("IFLA_BRPORT_MODE", 1)]
    described = [
        ("IFLA_INFO_KIND", "veth"),
        ("IFLA_INFO_DATA", {"attrs": veth}),
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", {"attrs": port}),
    ]
    metrics = [("RTAX_MTU", 1500)]
    for message, attributes in (
        (ifinfmsg(), [("IFLA_LINKINFO", {"attrs": described})]),
        (ifaddrmsg(), [("IFA_LOCAL", "127.0.0.1")]),
        (rtmsg(), [("RTA_METRICS", {"attrs": metrics})]),
    ):
        message["attrs"] = attributes
        message.encode()


__all__ = ["build_tables", "ifaddrmsg", "ifinfmsg", "rtmsg"]
