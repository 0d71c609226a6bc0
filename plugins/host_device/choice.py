# SPDX-License-Identifier: Apache-2.0
"""Which device is meant: by name, MAC, place in /sys, PCI address, deviceID."""

from __future__ import annotations

from cni_common.kernel import devices, link_moves, links
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from plugins.host_device.conf import hardware_address, is_pci

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from plugins.host_device.conf import HostDeviceConf

# Drivers of devices that a program in the container works with by itself: they have
# no link that could be moved.
USERSPACE_DRIVERS = frozenset({"vfio-pci", "uio_pci_generic", "igb_uio"})

_LOOPBACK = 1  # LOOPBACK_IFINDEX


@dataclass(frozen=True)
class Choice:
    """The device that is meant.

    At most one of `device`, `mac` and `directory` is there; `pci_id` is its PCI
    address if it was chosen by that.
    """

    device: str = ""
    mac: str = ""
    directory: str = ""
    pci_id: str = ""

    @property
    def without_link(self) -> bool:
        """Whether the device's driver makes no link of it (DPDK)."""
        if not self.pci_id:
            return False
        return devices.driver(self.directory) in USERSPACE_DRIVERS


def choose(conf: HostDeviceConf) -> Choice:
    """Return what `conf` means, whose keys are valid; raises Code.INTERNAL for none."""
    if conf.device_id:
        return _by_device_id(str(conf.device_id))
    if conf.device:
        return Choice(device=conf.device)
    if conf.hwaddr:
        return Choice(mac=hardware_address(conf.hwaddr))
    if conf.kernelpath:
        found = devices.at_kernel_path(conf.kernelpath)
        return Choice(directory=_there(found, conf.kernelpath))
    address = conf.pci_bus_id.lower()
    found = devices.on_pci(address)
    return Choice(directory=_there(found, f"{address} on the PCI bus"), pci_id=address)


def link(host: Netlink, choice: Choice) -> Link:
    """Return the link that is meant.

    Raises Code.INTERNAL when there is none, or two, and for the host's loopback.
    """
    found = _link(host, choice)
    if found.index == _LOOPBACK:
        msg = f"lend device {found.name}: it is the host's loopback"
        raise CNIError(Code.INTERNAL, msg, "every namespace has its own")
    return found


def _link(host: Netlink, choice: Choice) -> Link:
    if choice.device:
        found = links.get(host, choice.device)
        if found is None:
            raise _absent(choice.device)
        return found
    if choice.mac:
        return _by_mac(host, choice.mac)
    for shown in devices.links(choice.directory):
        found = links.get(host, shown.name)
        # /sys may belong to another namespace than ours, with links of equal names.
        if found is not None and found.index == shown.index:
            return found
    msg = f"find device {choice.pci_id or choice.directory}: it has no link here"
    raise CNIError(Code.INTERNAL, msg)


def may_be(conf: HostDeviceConf, found: Link, parent: str, names: set[str]) -> bool:
    """Tell whether hardware in a container may be what `conf` names.

    `parent` is the device behind it as `identities` tells it, `names` are those it
    has. Raises Code.INTERNAL or Code.INVALID_CONFIG for a `conf` that means nothing.
    """
    chosen = choose(conf)
    if chosen.device:
        return chosen.device in names
    if chosen.mac:
        return found.mac == chosen.mac
    return devices.contains(chosen.directory, parent)


def _by_device_id(device_id: str) -> Choice:
    address = device_id.lower()
    found = devices.on_pci(address) if is_pci(address) else None
    if found is not None:
        return Choice(directory=found, pci_id=address)
    found = devices.on_auxiliary_bus(device_id)
    return Choice(directory=_there(found, f"{device_id} on PCI or auxiliary bus"))


def _by_mac(host: Netlink, mac: str) -> Link:
    """Return the link with `mac`; VLANs and macvlans may share that of a device."""
    found = link_moves.with_mac(host, mac)
    if not found:
        raise _absent(mac)
    if len(found) > 1:
        found = [item for item in found if not item.kind] or found
    if len(found) > 1:
        names = ", ".join(sorted(item.name for item in found))
        raise CNIError(Code.INTERNAL, f"find device {mac}: {names} have it")
    return found[0]


def _there(directory: str | None, what: str) -> str:
    if directory is None:
        raise _absent(what)
    return directory


def _absent(what: str) -> CNIError:
    return CNIError(Code.INTERNAL, f"find device {what}: no such device")
