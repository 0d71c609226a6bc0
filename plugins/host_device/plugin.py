# SPDX-License-Identifier: Apache-2.0
"""host-device: the container has a device of the host until DEL brings it back."""

from __future__ import annotations

from cni_common import leased, saved_device
from cni_common.attachment import engine
from cni_common.attachment.scheme import Plan, Scheme
from cni_common.kernel.netlink import Netlink
from cni_common.parts.addresses import Addresses
from cni_common.parts.announced import Announced
from cni_common.parts.moved_device import MovedDevice
from cni_common.spec.values import dataclass
from plugins.host_device import choice, unrecorded
from plugins.host_device.conf import HostDeviceConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.scheme import Told
    from cni_common.naming import Attachment
    from cni_common.saved_device import SavedDevice
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a plan of host-device needs to know: the device as it is on the host.

    One `without_link` is for a program in the container. `mac` is looked at if given.
    """

    device: SavedDevice | None = None
    without_link: bool = False
    pci_id: str = ""
    mac: str = ""


def facts(node: Node, request: Request, conf: HostDeviceConf) -> Facts:
    """Return the device that is meant; raises Code.INTERNAL."""
    del request
    chosen = choice.choose(conf)
    if chosen.without_link:
        return Facts(without_link=True, pci_id=chosen.pci_id)
    link = node.see(choice.link(node.host, chosen))
    return Facts(device=saved_device.save(node.host, link), pci_id=chosen.pci_id)


def told(known: Told) -> Facts:
    """Return the facts as the record tells them, and prevResult."""
    moved = known.part("moved_device")
    if known.record is None:
        return Facts(
            without_link=choice.choose(known.conf).without_link,
            mac=known.end.mac.lower(),
        )
    return Facts(
        device=moved.device if moved else None,
        without_link=moved is None,
        mac=known.end.mac.lower(),
    )


def plan(
    attachment: Attachment, conf: HostDeviceConf, result: Result, known: Facts
) -> Plan:
    """Return what the attachment consists of: nothing without a link."""
    del conf
    inside = attachment.ifname
    if known.without_link:
        return Plan((), without_link=(inside,), pci_id=known.pci_id)
    parts = (
        MovedDevice(inside=inside, device=known.device, mac=known.mac),
        Addresses(inside=inside, ips=tuple(result.ips), routes=tuple(result.routes)),
        Announced(inside=inside, if_possible=True),
    )
    return Plan(parts, ends=(inside,), pci_id=known.pci_id)


def ready(request: Request, conf: HostDeviceConf) -> None:
    """Raise Code.INTERNAL unless the device is here, if it is known before ADD."""
    del request
    if conf.names_device:
        chosen = choice.choose(conf)
        if not chosen.without_link:
            with Netlink() as host:
                choice.link(host, chosen)


PLUGIN = engine.plugin(
    Scheme(
        "host-device",
        facts=facts,
        told=told,
        settled=leased.settled,
        plan=plan,
        ready=ready,
        unrecorded=("moved_device",),
        remains=unrecorded.bring_back,
    ),
    HostDeviceConf,
)
