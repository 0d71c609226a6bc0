# SPDX-License-Identifier: Apache-2.0
"""CHECK: everything that ADD did, against the kernel as it is now.

What later plugins of a chain may change is accepted: another MTU, another MAC if
prevResult says so, further addresses and routes.
"""

from __future__ import annotations

from cni_common import attached, layer3, previous
from cni_common.kernel import links, macvlans
from cni_common.naming import Attachment
from cni_common.sides import sides
from cni_common.spec.errors import CNIError, Code
from plugins.macvlan import master, release

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.request import Request
    from plugins.macvlan.conf import MacvlanConf


def attachment(request: Request, conf: MacvlanConf) -> None:
    """Raise code 999 for the first thing that is not as ADD left it."""
    result = previous.required(request)
    end, index = previous.container_end(request, result)
    owner = Attachment.of(request)
    noted = attached.read(release.PLUGIN, owner, release.own)
    with sides(request.netns) as side:
        lower = master.of(side, conf, noted)
        link = links.get(side.container, end.name)
        if link is None:
            raise _wrong(f"check interface {end.name}: it does not exist")
        if not release.is_of(owner, link):
            raise _wrong(f"check interface {end.name}: it is not the macvlan of ADD")
        _link(link, end.mac.lower(), lower)
        _options(macvlans.get(side.container, end.name), end.name, conf)
        ips = previous.ips_of(result, index)
        layer3.check_addresses(side.container, link, ips)
        for route in layer3.completed(result.routes, attached.routes_of(noted)):
            layer3.check_route(side.container, link, route, ips)


def _link(link: Link, mac: str, lower: Link) -> None:
    what = f"check interface {link.name}"
    if link.peer != lower.index:
        raise _wrong(f"{what}: its master is not {lower.name}")
    if mac and link.mac != mac:
        raise _wrong(f"{what}: its MAC is {link.mac}, not {mac}")
    if not link.is_up:
        raise _wrong(f"{what}: it is down")


def _options(found: macvlans.Macvlan | None, name: str, conf: MacvlanConf) -> None:
    what = f"check interface {name}"
    if found is None or found.mode != conf.kernel_mode:
        mode = found.mode if found else "none"
        raise _wrong(f"{what}: its mode is {mode}, not {conf.kernel_mode}")
    if conf.bcqueuelen and found.bc_queue_len != conf.bcqueuelen:
        length = found.bc_queue_len
        raise _wrong(f"{what}: its bcqueuelen is {length}, not {conf.bcqueuelen}")


def _wrong(msg: str) -> CNIError:
    return CNIError(Code.INTERNAL, msg)
