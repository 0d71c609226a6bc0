# SPDX-License-Identifier: Apache-2.0
"""What DEL, GC and a failed ADD do: the device is back on the host, as it was.

The container's namespace may be gone. Then a device with hardware behind it is on the
host again, where the kernel brought it under a name of its choice, and a virtual one
does not exist any more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cni_common import attached, attachments
from cni_common.kernel import link_moves, links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.rollback import Rollback
from cni_common.spec.environment import validate_ifname
from cni_common.spec.errors import CNIError, Code
from plugins.host_device import lent

if TYPE_CHECKING:
    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace
    from cni_common.log import Log
    from cni_common.naming import Attachment
    from plugins.host_device.lent import Lent

PLUGIN = "host-device"


def recorded(owner: Attachment, noted: Attached, log: Log, *paths: str) -> None:
    """Have the device of a recorded attachment back, if there is a device.

    `paths` are further places where its namespace may be found. Raises code 999,
    and leaves the device in the container, when its name is taken on the host.
    """
    device = lent.of_document(noted.own)
    if device is None:
        return
    with Netlink() as host:
        path = noted.living(*paths)
        back = _from_container(owner, device, host, path, complete=noted.complete)
        if not back:
            back = _brought_by_kernel(owner, device, host, log)
        if back:
            for words in lent.restore(host, device, whole=not noted.complete):
                log.warning(f"restore device {device.name}: {words}")


def stale(owner: Attachment, log: Log) -> None:
    """Have nothing of an attachment that is known from its record only."""
    noted = attached.read(PLUGIN, owner)
    if noted is not None:
        recorded(owner, noted, log)
        attachments.delete(PLUGIN, owner)


def unrecorded(owner: Attachment, path: str) -> None:
    """Have a device back that the reference plugin moved: its alias is its name.

    One that another attachment has stays: the path may name the namespace of a new
    container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return
    with container, Netlink() as host, _inside(container) as inside:
        link = links.get(inside, owner.ifname)
        if link is None or not _is_name(link.alias):
            return
        if _holder(container.identity, owner.ifname) in {None, owner}:
            _move_out(host, inside, link, link.alias)
            links.set_alias(host, link.alias, "")


def is_of(device: Lent, link: Link) -> bool:
    """Tell whether `link` is the device: by the alias of ADD, or by its MAC."""
    return link.alias == device.name or (bool(device.mac) and link.mac == device.mac)


def _from_container(
    owner: Attachment, device: Lent, host: Netlink, path: str, *, complete: bool
) -> bool:
    """Move the device out of the container, if it is there; tell whether it was."""
    container = netns.open_living(path)
    if container is None:
        return False
    with container, _inside(container) as inside:
        link = links.get(inside, owner.ifname)
        if link is None or not is_of(device, link):
            # A DEL or a move that was broken off has left it under its own name.
            link = links.get(inside, device.name)
            if link is None or not _was_left(device, link, complete=complete):
                return False
        _move_out(host, inside, link, device.name)
        return True


def _was_left(device: Lent, link: Link, *, complete: bool) -> bool:
    """Tell whether `link`, which has the device's name on the host, is the device.

    Before ADD was complete it may lack the alias yet.
    """
    return is_of(device, link) if not complete else link.alias == device.name


def _brought_by_kernel(
    owner: Attachment, device: Lent, host: Netlink, log: Log
) -> bool:
    """Give the device its name again if it came back when the namespace died.

    It has its name in the container, else "dev" and its index (net/core/dev.c,
    default_device_exit_net), or a rule of udev has named it.
    """
    for name in (owner.ifname, f"dev{device.index}", device.name):
        link = links.get(host, name)
        if link is None or link.alias != device.name:
            continue
        if link.name == device.name:
            return True
        links.set_up(host, link.name, up=False)
        if link_moves.rename(host, link, device.name):
            return True
        log.warning(f"rename link {link.name} to {device.name}: the name is taken")
        return False
    return False


def _move_out(host: Netlink, inside: Netlink, link: Link, name: str) -> None:
    """Have `link` on the host as `name`, down; or in the container, as it was.

    It gets its name before it moves, while nobody but the container sees it: udev
    and network managers would act on a device that appears under another one.
    """
    if links.get(host, name) is not None:
        msg = f"move link {link.name} to the host as {name}: the name is taken"
        raise CNIError(Code.INTERNAL, msg, "it stays in the container")
    with Rollback() as undo, netns.own() as home:
        host_space = replace(home, path="the host")
        if link.is_up:
            undo(links.set_up, inside, link.name)
        links.set_up(inside, link.name, up=False)
        undo(link_moves.rename, inside, link, link.name)
        link_moves.rename(inside, link, name)
        link_moves.move(inside, link, host_space, name, alias=name)


def _inside(container: Namespace) -> Netlink:
    with netns.entered(container):
        return Netlink()


def _holder(identity: str, ifname: str) -> Attachment | None:
    """Return whose device `ifname` of a namespace is, by the records."""
    for owner, document in attachments.of_plugin(PLUGIN):
        if owner.ifname == ifname and document.get("netnsIdentity") == identity:
            return owner
    return None


def _is_name(alias: str) -> bool:
    try:
        validate_ifname(alias)
    except CNIError:
        return False
    return bool(alias)
