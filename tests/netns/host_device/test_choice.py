# SPDX-License-Identifier: Apache-2.0
"""Which device is meant, where the tree that /sys shows is one of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from netns.host_device.helpers import conf, on_host, wired
from netns.macvlan.helpers import shown
from pictures import picture

from cni_common.kernel import devices

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

from lab import ip

PCI = "0000:03:00.1"
OTHER = "0000:03:00.2"
AUXILIARY = "mlx5_core.sf.4"


class Sysfs:
    """A tree of devices, each with the links that the test gives it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for bus in ("pci", "auxiliary"):
            (top / "bus" / bus / "devices").mkdir(parents=True)
        (top / "devices").mkdir()

    def device(
        self, bus: str, name: str, *links: str, below: str = "", driver: str = ""
    ) -> str:
        """Make a device of a bus with `links`, below a virtio device if named."""
        place = self.top / "devices" / "pci0000:00" / name
        for link in links:
            net = place / below / "net" / link
            net.mkdir(parents=True)
            index = next(
                (x["ifindex"] for x in ip("link", "show") if x["ifname"] == link), 4000
            )
            (net / "ifindex").write_text(f"{index}\n")
        place.mkdir(parents=True, exist_ok=True)
        if driver:
            (place / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        (self.top / "bus" / bus / "devices" / name).symlink_to(place)
        return f"/sys/devices/pci0000:00/{name}"


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    """The tree that stands for /sys."""
    monkeypatch.setattr(devices, "SYSFS", str(tmp_path / "sys"))
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def wire(host: Host) -> Space:
    """What is at the other end of the host's device ens5."""
    return wired(host)


def by(**keys: Any) -> dict[str, Any]:
    """Return a configuration that names the device by `keys`."""
    return conf(device=None, **keys)


@pytest.mark.parametrize("below", ["", "virtio2"])
@pytest.mark.parametrize("key", ["pciBusID", "deviceID", "kernelpath"])
@pytest.mark.usefixtures("wire")
def test_device_is_found_by_its_place(
    cni: Cni, sysfs: Sysfs, container: Space, key: str, below: str
) -> None:
    """PCI address, deviceID and path in /sys lead to the link, virtio's as well."""
    path = sysfs.device("pci", PCI, "ens5", below=below)
    keys: dict[str, Any] = {
        "pciBusID": {"pciBusID": PCI.upper()},
        "deviceID": {"runtimeConfig": {"deviceID": PCI}},
        "kernelpath": {"kernelpath": path},
    }
    result = cni.ok("host-device", "ADD", by(**keys[key]), netns=container)
    assert shown(container)["ifalias"] == "ens5"
    told = result["interfaces"][0].get("pciID")
    assert told == (None if key == "kernelpath" else PCI)
    # DEL comes when the device is not there, so that it is not looked for.
    cni.ok("host-device", "DEL", by(**keys[key]), netns=container)
    assert on_host() == ["lo", "ens5"]


@pytest.mark.usefixtures("wire")
def test_device_of_the_auxiliary_bus(cni: Cni, sysfs: Sysfs, container: Space) -> None:
    """deviceID may name a device of the auxiliary bus, such as a scalable function."""
    sysfs.device("auxiliary", AUXILIARY, "ens5")
    wanted = by(runtimeConfig={"deviceID": AUXILIARY})
    result = cni.ok("host-device", "ADD", wanted, netns=container)
    assert shown(container)["ifalias"] == "ens5"
    assert "pciID" not in result["interfaces"][0]


def test_device_id_comes_before_the_keys(
    cni: Cni, sysfs: Sysfs, host: Host, container: Space
) -> None:
    """What a runtime allots counts more than what the configuration names."""
    wired(host)
    wired(host, "ens6", 3)
    sysfs.device("pci", PCI, "ens6")
    wanted = conf(runtimeConfig={"deviceID": PCI})
    cni.ok("host-device", "ADD", wanted, netns=container)
    assert shown(container)["ifalias"] == "ens6"


def test_first_key_counts(cni: Cni, sysfs: Sysfs, host: Host, container: Space) -> None:
    """Of several keys the order is device, hwaddr, kernelpath, pciBusID."""
    wired(host)
    wired(host, "ens6", 3)
    sysfs.device("pci", PCI, "ens6")
    cni.ok("host-device", "ADD", conf(pciBusID=PCI), netns=container)
    assert shown(container)["ifalias"] == "ens5"


@pytest.mark.parametrize("driver", ["vfio-pci", "uio_pci_generic", "igb_uio"])
def test_device_of_a_userspace_driver_has_no_link(
    cni: Cni, sysfs: Sysfs, container: Space, wire: Space, driver: str
) -> None:
    """A DPDK device gets addresses of the IPAM plugin, and no link is touched."""
    sysfs.device("pci", PCI, driver=driver)
    before = picture(container, wire)
    wanted = by(pciBusID=PCI)
    result = cni.ok("host-device", "ADD", wanted, netns=container)
    assert result["interfaces"] == [
        {"name": "eth0", "sandbox": container.path, "pciID": PCI}
    ]
    assert result["ips"][0]["interface"] == 0
    assert container.ip("link", "show")[1:] == []
    cni.ok("host-device", "CHECK", {**wanted, "prevResult": result}, netns=container)
    cni.ok("host-device", "STATUS", wanted)
    cni.ok("host-device", "DEL", wanted, netns=container)
    assert picture(container, wire) == before


def test_device_of_a_kernel_driver_without_a_link(
    cni: Cni, sysfs: Sysfs, container: Space
) -> None:
    """A device with another driver and no link is an error, not a DPDK device."""
    sysfs.device("pci", PCI, driver="virtio-pci")
    error = cni.refused("host-device", "ADD", by(pciBusID=PCI), netns=container)
    assert error["msg"] == f"find device {PCI}: it has no link here"


def test_link_of_another_namespace_is_not_taken(
    cni: Cni, sysfs: Sysfs, container: Space, wire: Space
) -> None:
    """Where /sys shows another namespace, a link of equal name here is not meant."""
    sysfs.device("pci", PCI, "ens5")
    net = sysfs.top / "devices" / "pci0000:00" / PCI / "net"
    (net / "ens5" / "ifindex").write_text("4000\n")
    before = picture(container, wire)
    error = cni.refused("host-device", "ADD", by(pciBusID=PCI), netns=container)
    assert error["msg"] == f"find device {PCI}: it has no link here"
    assert picture(container, wire) == before


@pytest.mark.parametrize(
    ("keys", "code", "msg"),
    [
        ({}, 7, 'parse device: specify either "device", "hwaddr", "kernelpath" or '),
        ({"device": "absent"}, 999, "find device absent: no such device"),
        ({"device": "../ens5"}, 7, "parse device: interface name contains /"),
        ({"device": "a" * 128}, 7, "parse device: interface name is too long"),
        ({"device": ["ens5"]}, 7, "parse network configuration: device: "),
        ({"hwaddr": "02:00"}, 7, "parse hwaddr: '02:00' is not a MAC address"),
        ({"hwaddr": "02-00:00:00:00:01"}, 7, "parse hwaddr: "),
        ({"hwaddr": "02:00:00:00:00:99"}, 999, "find device 02:00:00:00:00:99: no "),
        ({"hwaddr": "02:" * 19 + "02"}, 999, "find device 02:02:"),
        ({"hwaddr": "0200.0000.0099"}, 999, "find device 02:00:00:00:00:99: no such"),
        ({"kernelpath": "devices/x"}, 7, "parse kernelpath: 'devices/x' must be abs"),
        ({"kernelpath": "/sys/class/net/ens5"}, 7, "parse kernelpath: "),
        ({"kernelpath": "/sys/devices/../class"}, 7, "parse kernelpath: "),
        ({"kernelpath": "/sys/devices/a\0b"}, 7, "parse kernelpath: "),
        ({"kernelpath": "/sys/devices/"}, 999, "find device /sys/devices/: no such"),
        ({"kernelpath": "/sys/devices/absent"}, 999, "find device /sys/devices/abs"),
        ({"pciBusID": "../../../etc"}, 7, "parse pciBusID: '../../../etc' is not"),
        ({"pciBusID": f"{PCI}/../x"}, 7, "parse pciBusID: "),
        ({"pciBusID": f"{PCI}\n"}, 7, "parse pciBusID: "),
        ({"pciBusID": OTHER}, 999, f"find device {OTHER} on the PCI bus: no such"),
        ({"runtimeConfig": {"deviceID": ".."}}, 7, "parse runtimeConfig.deviceID: "),
        ({"runtimeConfig": {"deviceID": "a/b.c"}}, 7, "parse runtimeConfig.deviceID"),
        ({"runtimeConfig": {"deviceID": 7}}, 7, "parse runtimeConfig.deviceID: 7 is"),
        ({"runtimeConfig": {"deviceID": ["a.b"]}}, 7, "parse runtimeConfig.deviceID"),
        ({"runtimeConfig": {"deviceID": "a.b.1"}}, 999, "find device a.b.1 on PCI or"),
        (
            {"device": "ens5", "ipam": None, "cniVersion": "0.2.0"},
            7,
            "parse ipam: a result of 0.2.0 needs an IP address",
        ),
    ],
)
@pytest.mark.usefixtures("sysfs", "wire")
def test_bad_input_changes_nothing(
    cni: Cni, container: Space, keys: dict[str, Any], code: int, msg: str
) -> None:
    """What cannot be done is refused with a code and a cause, and nothing changes."""
    before = picture(container)
    error = cni.refused("host-device", "ADD", by() | keys, netns=container)
    assert (error["code"], error["msg"][: len(msg)]) == (code, msg)
    assert picture(container) == before


def test_path_that_leads_out_of_the_devices_is_refused(
    cni: Cni, sysfs: Sysfs, container: Space, wire: Space
) -> None:
    """A symbolic link below /sys/devices does not open the rest of the disk."""
    outside = sysfs.top / "elsewhere" / "net" / "ens5"
    outside.mkdir(parents=True)
    index = ip("link", "show", "ens5")[0]["ifindex"]
    (outside / "ifindex").write_text(str(index))
    (sysfs.top / "devices" / "trap").symlink_to(sysfs.top / "elsewhere")
    before = picture(container, wire)
    wanted = by(kernelpath="/sys/devices/trap")
    error = cni.refused("host-device", "ADD", wanted, netns=container)
    assert error["msg"] == "find device /sys/devices/trap: no such device"
    assert picture(container, wire) == before
