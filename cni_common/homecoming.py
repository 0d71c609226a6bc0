# SPDX-License-Identifier: Apache-2.0
"""What DEL, GC and a failed ADD do: the device is back on the host, as it was.

The container's namespace may be gone. Then a device with hardware behind it is on the
host again, where the kernel brought it under a name of its choice, and a virtual one
does not exist any more. While it lives, whoever is in it may have renamed the device,
and have put another link in its place: names and aliases there prove nothing.
"""

from __future__ import annotations

from contextlib import ExitStack

from cni_common import saved_device
from cni_common.attachment import record
from cni_common.frame.log import remark
from cni_common.frame.rollback import Rollback
from cni_common.kernel import identities, link_moves, links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.record import Record
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netns import Namespace
    from cni_common.naming import Attachment
    from cni_common.saved_device import SavedDevice


def bring_back(node: Node, device: SavedDevice, path: str, *, whole: bool) -> None:
    """Move the device back from the namespace at `path`, or wherever it is by now.

    With `whole` it has its master, addresses and routes again, too. A device that came
    home before, by a DEL that could not remove the record, is success, also where it
    was lent again since. Raises Code.INTERNAL when its name is taken on the host, which
    leaves it in the container, and when the namespace lives and the device is neither
    there nor here.
    """
    host, attachment = node.host, node.attachment
    back = _from_container(attachment, device, host, path)
    back = back or _brought_by_kernel(attachment, device, host)
    if back is None and path and not _is_lent_again(node, device):
        msg = f"bring back device {device.name}: it is not in {path}"
        raise CNIError(Code.INTERNAL, msg, _description(device))
    if back is not None and back.name == device.name:
        for words in saved_device.restore(host, device, whole=whole):
            remark(f"restore device {device.name}: {words}")


def move_out(
    host: Netlink, inside: Netlink, link: Link, name: str, kept: Collection[str]
) -> Link:
    """Move `link` to the host as `name`, down; or leave it in the container as it was.

    It gets its name before it moves, while nobody but the container sees it: udev
    and network managers would act on a device that appears under another one. Of its
    alternative names only those in `kept` come along, for the container may have
    given it the name of any link of the host.
    """
    if links.get(host, name) is not None:
        msg = f"move link {link.name} to the host as {name}: the name is taken"
        raise CNIError(Code.INTERNAL, msg, "it stays in the container")
    with Rollback() as undo, netns.own() as home:
        host_space = replace(home, path="the host")
        if link.is_up:
            undo(links.set_up, inside, link.name)
        links.set_up(inside, link.name, up=False)
        for other in identities.alternative_names(inside, link):
            if other not in kept:
                identities.delete_name(inside, link, other)
        undo(link_moves.rename, inside, link, link.name)
        link_moves.rename(inside, link, name)
        link_moves.move(inside, link, host_space, name, alias=name)
    return links.existing(host, name)


def opened(container: Namespace) -> Netlink:
    """Return a socket in `container`."""
    with netns.entered(container):
        return Netlink()


def _from_container(
    owner: Attachment, device: SavedDevice, host: Netlink, path: str
) -> Link | None:
    """Move the device out of the container, if it is there, and return it."""
    container = netns.open_living(path)
    if container is None:
        return None
    with ExitStack() as open_:
        open_.enter_context(container)
        inside = open_.enter_context(opened(container))
        # By name it is found that a killed ADD or DEL has left on its way.
        names = (owner.ifname, device.name)
        for link in _candidates(inside, (device.index, device.host_index), names):
            if device.is_this(link, identities.read(inside, link)):
                kept = device.alternative_names
                return move_out(host, inside, link, device.name, kept)
    return None


def _brought_by_kernel(
    owner: Attachment, device: SavedDevice, host: Netlink
) -> Link | None:
    """Give the device its name again if it came back when the namespace died.

    It has its name in the container, else "dev" and its index (net/core/dev.c,
    default_device_exit_net), or a rule of udev has named it. Nor did it ever leave
    where ADD failed early. One whose name is taken is returned under another one.
    """
    names = (device.name, owner.ifname, f"dev{device.index}")
    for link in _candidates(host, (device.host_index, device.index), names):
        if not _is_back(device, link, host):
            continue
        if link.name == device.name:
            return link
        links.set_up(host, link.name, up=False)
        if link_moves.rename(host, link, device.name):
            return replace(link, name=device.name)
        remark(f"rename link {link.name} to {device.name}: the name is taken")
        return link
    return None


def _is_back(device: SavedDevice, link: Link, host: Netlink) -> bool:
    """Tell whether `link`, which is on the host, is the device.

    A container cannot have put a virtual link there, so its alias may be believed.
    """
    identity = identities.read(host, link)
    if identity.is_hardware or device.identity.is_hardware:
        return device.is_this(link, identity)
    if identity.kind != device.identity.kind:
        return False
    never_left = (link.index, link.name) == (device.host_index, device.name)
    if never_left or link.alias == device.name:
        return True
    return device.is_home(link, identity)


def devices_of_others(node: Node) -> Iterator[tuple[Attachment, Record, SavedDevice]]:
    """Yield who else has which device, by the records; for what is rare only."""
    for other, found in record.others(node.plugin, node.attachment):
        for part in found.parts:
            device = getattr(part, "device", None)
            if isinstance(device, saved_device.SavedDevice):
                yield other, found, device


def _is_lent_again(node: Node, device: SavedDevice) -> bool:
    """Tell whether the device came home and another attachment has got it."""
    return any(other.is_same(device) for _, _, other in devices_of_others(node))


def _candidates(
    netlink: Netlink, indices: tuple[int, ...], names: tuple[str, ...]
) -> Iterator[Link]:
    """Yield the links that have one of the indices, or are called so."""
    for index in filter(None, dict.fromkeys(indices)):
        link = links.by_index(netlink, index)
        if link is not None:
            yield link
    for name in dict.fromkeys(names):
        link = links.get(netlink, name)
        if link is not None:
            yield link


def _description(device: SavedDevice) -> str:
    """Return by what to look for a device."""
    known = device.identity
    words = [
        f"index {device.index}" if device.index else "",
        f"kind {known.kind}" if known.kind else "",
        f"parent {known.parent}" if known.parent else "",
        f"MAC {known.permanent_mac or device.mac}",
    ]
    return "it has " + ", ".join(filter(None, words))
