# SPDX-License-Identifier: Apache-2.0
"""Bridges (Documentation/networking/bridge.rst, ip-link(8))."""

from __future__ import annotations

import errno

from cni_common.kernel import links
from cni_common.kernel.attributes import Attributes, attribute, text
from cni_common.kernel.link_answer import (
    BODY,
    BR_VLAN_FILTERING,
    BRPORT_ISOLATED,
    BRPORT_MODE,
    IFNAME,
    INFO_DATA,
    INFO_SLAVE_DATA,
    INFO_SLAVE_KIND,
    LINKINFO,
)
from cni_common.kernel.links import RTM_GETLINK, RTM_NEWLINK
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.requests import LinkRequest
from cni_common.spec.errors import CNIError, Code, refused

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link


def add(  # noqa: PLR0913 - what a bridge has from the start
    netlink: Netlink,
    name: str,
    mac: str,
    *,
    mtu: int = 0,
    vlan_filtering: bool = False,
    alias: str,
) -> Link | None:
    """Ensure a bridge called `name`, up; return it if it was made by this call.

    Its address is given at creation, so that no port and no udev rule changes it.
    Raises Code.INTERNAL when the kernel will not.
    """
    options = [attribute(BR_VLAN_FILTERING, b"\1")] if vlan_filtering else []
    try:
        links.add(netlink, name, "bridge", *options, mac=mac, mtu=mtu)
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            return None
        if error.errno == errno.EOPNOTSUPP and vlan_filtering:
            error.strerror = "no VLAN filtering in this kernel"
        raise refused(f"add bridge {name}", error) from error
    return links.mark(netlink, name, alias)[0]


def existing(netlink: Netlink, name: str) -> Link:
    """Return the bridge `name`; raises Code.INTERNAL when that is no bridge."""
    link = links.existing(netlink, name)
    if link.kind != "bridge":
        msg = f'use bridge {name}: "{name}" already exists but is not a bridge'
        raise CNIError(Code.INTERNAL, msg)
    return link


def option(netlink: Netlink, name: str, kind: int) -> int:
    """Return the option `kind` of the bridge `name` (IFLA_BR_*, linux/if_link.h).

    Raises Code.INTERNAL.
    """
    message = LinkRequest(text(IFNAME, name), links.WITHOUT_STATISTICS)
    try:
        found: _OptionsAnswer = netlink.get(message, RTM_GETLINK, _OptionsAnswer)
    except NetlinkError as error:
        raise refused(f"look at bridge {name}", error) from error
    return found.options.number(kind)


def set_option(netlink: Netlink, name: str, *options: bytes) -> None:
    """Give the bridge `name` the `options`, attributes of its kind.

    Raises Code.INTERNAL.
    """
    message = LinkRequest(text(IFNAME, name), links.described("bridge", *options))
    try:
        netlink.act((message, RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set bridge {name}", error) from error


class _OptionsAnswer:
    """A message about a bridge, to be decoded into `options`."""

    options: Attributes

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read the options."""
        link = Attributes(self._message, BODY)
        self.options = link.nested(LINKINFO).nested(INFO_DATA)


def set_port(netlink: Netlink, name: str, *, hairpin: bool, isolated: bool) -> None:
    """Give the port `name` of a bridge these flags (bridge(8), "hairpin")."""
    flags = attribute(BRPORT_MODE, bytes([hairpin]))
    flags += attribute(BRPORT_ISOLATED, bytes([isolated]))
    port = text(INFO_SLAVE_KIND, "bridge"), attribute(INFO_SLAVE_DATA, flags)
    message = LinkRequest(text(IFNAME, name), attribute(LINKINFO, *port))
    try:
        netlink.act((message, RTM_NEWLINK, 0))
    except NetlinkError as error:
        raise refused(f"set bridge port {name}", error) from error
