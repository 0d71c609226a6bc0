# SPDX-License-Identifier: Apache-2.0
"""CHECK: everything that ADD did, against the kernel as it is now.

What later plugins of a chain may change is accepted: another MTU, another MAC if
prevResult says so, further addresses and routes.
"""

from __future__ import annotations

from cni_common import attached, layer3, previous
from cni_common.kernel import identities, links
from cni_common.naming import Attachment
from cni_common.sides import sides
from cni_common.spec.errors import CNIError, Code
from plugins.host_device import choice, lent, release

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.request import Request
    from plugins.host_device.conf import HostDeviceConf
    from plugins.host_device.lent import Lent


def attachment(request: Request, conf: HostDeviceConf) -> None:
    """Raise code 999 for the first thing that is not as ADD left it."""
    result = previous.required(request)
    end, index = previous.container_end(request, result)
    noted = attached.read(release.PLUGIN, Attachment.of(request), lent.own)
    if _is_without_link(noted, conf):
        return
    with sides(request.netns) as side:
        link = links.get(side.container, end.name)
        if link is None:
            raise _wrong(f"check interface {end.name}: it does not exist")
        device = lent.of_document(noted.own) if noted else None
        if device:
            _is_device(side.container, link, device)
        _link(link, end.mac.lower())
        ips = previous.ips_of(result, index)
        layer3.check_addresses(side.container, link, ips)
        for route in layer3.completed(result.routes, attached.routes_of(noted)):
            layer3.check_route(side.container, link, route, ips)


def _is_without_link(noted: Attached | None, conf: HostDeviceConf) -> bool:
    if noted is not None:
        return not noted.own
    return choice.of(conf).without_link


def _is_device(inside: Netlink, link: Link, device: Lent) -> None:
    what = f"check interface {link.name}"
    if not device.is_this(link, identities.of_link(inside, link)):
        raise _wrong(f"{what}: it is not the device {device.name} of ADD")
    if link.alias != device.name:
        raise _wrong(f"{what}: its alias is {link.alias!r}, not {device.name!r}")


def _link(link: Link, mac: str) -> None:
    what = f"check interface {link.name}"
    if mac and link.mac != mac:
        raise _wrong(f"{what}: its MAC is {link.mac}, not {mac}")
    if not link.is_up:
        raise _wrong(f"{what}: it is down")


def _wrong(msg: str) -> CNIError:
    return CNIError(Code.INTERNAL, msg)
