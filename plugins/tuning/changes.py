# SPDX-License-Identifier: Apache-2.0
"""Values as the kernel has them, and setting them: in the container's namespace."""

from __future__ import annotations

from cni_common.kernel import link_settings, links, sysctl
from cni_common.spec.errors import CNIError, Code
from plugins.tuning.names import is_same
from plugins.tuning.values import Values

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from plugins.tuning.values import Setting


def now(link: Link | None, names: Values) -> Values:
    """Return the values of `names` as they are now; those apart that nobody can read.

    Raises code 999 for a parameter that this kernel does not have.
    """
    for name in names.sysctl:
        if not sysctl.exists(name):
            msg = f"find sysctl {name}: this kernel has no such parameter"
            raise CNIError(Code.INTERNAL, msg)
    read = {name: sysctl.shown(name) for name in names.sysctl}
    shown = {name: value for name, value in read.items() if value is not None}
    return Values(_settings(link) if link else {}, shown).of(names)


def apply(netlink: Netlink, ifname: str, values: Values) -> None:
    """Have all of `values`: parameters first, then the link. Raises code 999."""
    set_parameters(values.sysctl)
    for key, value in values.link.items():
        set_link(netlink, ifname, key, value)


def put_back(netlink: Netlink, ifname: str, values: Values) -> None:
    """Have all of `values`: the link first, then parameters. Raises code 999.

    With an MTU below 1280 the parameters of IPv6 are gone; they come back with it.
    """
    for key, value in values.link.items():
        set_link(netlink, ifname, key, value)
    set_parameters(values.sysctl)


def set_link(netlink: Netlink, ifname: str, key: str, value: Setting) -> None:
    """Have one setting of the link. Raises code 999."""
    match key:
        case "mac":
            links.set_mac(netlink, ifname, str(value))
        case "mtu":
            link_settings.set_mtu(netlink, ifname, int(value))
        case "txQLen":
            link_settings.set_tx_queue_length(netlink, ifname, int(value))
        case "promisc":
            links.set_promiscuous(netlink, ifname, on=bool(value))
        case "allmulti":
            link_settings.set_all_multicast(netlink, ifname, on=bool(value))


def set_parameters(values: dict[str, str]) -> None:
    """Have all of `values`, whatever writing one does to another. Raises code 999."""
    for name, value in values.items():
        if not is_same(sysctl.shown(name), value):
            sysctl.set_value(name, value)
    for name, value in values.items():
        found = sysctl.shown(name)
        if found is not None and not is_same(found, value):
            sysctl.set_value(name, value)


def _settings(link: Link) -> dict[str, Setting]:
    return {
        "mac": link.mac,
        "mtu": link.mtu,
        "txQLen": link.tx_queue_length,
        "promisc": link.is_promiscuous,
        "allmulti": link.is_all_multicast,
    }
