# SPDX-License-Identifier: Apache-2.0
"""Devices as /sys shows them: where they are, their driver, their links (sysfs(5)).

What is asked for must have been checked: a path component from outside has no slash.
"""

from __future__ import annotations

import os

from cni_common.spec.values import dataclass

SYSFS = "/sys"


@dataclass(frozen=True)
class DeviceLink:
    """A link of a device, as the namespace sees it to which /sys belongs."""

    name: str
    index: int


def on_pci(address: str) -> str | None:
    """Return where the device with a PCI address is, or None when there is none."""
    return _existing(os.path.join(SYSFS, "bus/pci/devices", address))


def on_auxiliary_bus(name: str) -> str | None:
    """Return where a device of the auxiliary bus is, or None when there is none."""
    return _existing(os.path.join(SYSFS, "bus/auxiliary/devices", name))


def at_kernel_path(path: str) -> str | None:
    """Return where the device at `path`, below /sys/devices, is, or None.

    A symbolic link that leads out of there leads to none.
    """
    top = os.path.realpath(os.path.join(SYSFS, "devices"))
    real = os.path.realpath(SYSFS + path.removeprefix("/sys"))
    inside = os.path.commonpath([real, top]) == top and real != top
    return _existing(real) if inside else None


def driver(directory: str) -> str:
    """Return the name of the device's driver, or an empty text without one."""
    try:
        return os.path.basename(os.readlink(os.path.join(directory, "driver")))
    except OSError:
        return ""


def contains(directory: str, parent: str) -> bool:
    """Tell whether a device, given by bus and name ("virtio/virtio2"), is the one at
    `directory`, or lies deeper.
    """
    bus, _, name = parent.partition("/")
    if not name or not directory:
        return False
    path = os.path.realpath(os.path.join(SYSFS, "bus", bus, "devices", name))
    top = os.path.realpath(directory)
    return os.path.commonpath([path, top]) == top


def links(directory: str) -> list[DeviceLink]:
    """Return the links of a device, by name; those of a virtio device lie deeper."""
    found = _links(os.path.join(directory, "net"))
    if not found:
        for name in _names(directory):
            if name.startswith("virtio"):
                found += _links(os.path.join(directory, name, "net"))
    return found


def _links(directory: str) -> list[DeviceLink]:
    found = []
    for name in _names(directory):
        try:
            with open(os.path.join(directory, name, "ifindex"), "rb") as file:
                found.append(DeviceLink(name, int(file.read())))
        except (OSError, ValueError):
            continue  # it left while we looked
    return found


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _existing(path: str) -> str | None:
    return path if os.path.isdir(path) else None
