# SPDX-License-Identifier: Apache-2.0
"""What the host learns from routers on the bridge: nothing from containers.

A router advertisement of a container would give the host routes and addresses. A bridge
that is no gateway may be the host's own way to its network: then it goes on listening.
"""

from __future__ import annotations

from cni_common.kernel import addresses, sysctl

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink

_OFF = "0"


def accepted(bridge: Link) -> str | None:
    """Return whether the host listens to routers on `bridge`; None without IPv6."""
    return sysctl.shown(_parameter(bridge.name))


def keeps_routers(netlink: Netlink, bridge: Link, *, is_gateway: bool) -> bool:
    """Tell whether the host goes on listening to routers on `bridge`.

    It does where it routes by the bridge, or has an address there that it was given.
    A gateway is the router itself.
    """
    if is_gateway or accepted(bridge) in {None, _OFF}:
        return False
    from cni_common.kernel import default_route  # noqa: PLC0415 - seldom asked

    if default_route.leads_through(netlink, bridge):
        return True
    held = addresses.of_link(netlink, bridge)
    return any(not item.permanent for item in held)


def ignore_routers(name: str) -> None:
    """Let the host take no routes and addresses from what arrives by the link."""
    accept_routers(name, _OFF)


def accept_routers(name: str, value: str) -> None:
    """Let the host listen to routers on the link as `value` says, if it has IPv6."""
    sysctl.set_if_present(_parameter(name), value)


def _parameter(name: str) -> str:
    return f"net/ipv6/conf/{name}/accept_ra"
