# SPDX-License-Identifier: Apache-2.0
"""What DEL and GC take away of a macvlan attachment: its link."""

from __future__ import annotations

from cni_common import attached, attachments, naming, shapes
from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment

PLUGIN = "macvlan"
own = shapes.table(
    {
        "master": (shapes.link, ""),
        "mac": (shapes.mac, ""),
        "inside": (shapes.flag, False),
        "index": (shapes.number, 0),
    }
)


def link_in(owner: Attachment, path: str, index: int = 0, *, mac: str = "") -> None:
    """Have no link of the attachment in the namespace at `path`, if there is one.

    `index` is the link's if it is known: it may have been renamed. The link of
    another attachment stays, and one that does not say whose it is if another `mac` is
    known: the path may name the namespace of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return
    with container, netns.entered(container), Netlink() as inside:
        link(inside, owner, index, mac)


def link(inside: Netlink, owner: Attachment, index: int = 0, mac: str = "") -> None:
    """Have no link of the attachment in the namespace of `inside`."""
    found = links.by_index(inside, index) if index else None
    if found is None or not is_of(owner, found, mac):
        found = links.get(inside, owner.ifname)
    if found is None or not is_of(owner, found, mac):
        # An ADD was killed before it had its name.
        found = links.get(inside, naming.passing(owner))
    if found is not None and is_of(owner, found, mac):
        links.delete(inside, found.name)


def recorded(owner: Attachment, noted: Attached, *paths: str) -> None:
    """Have no link of the attachment that `noted` tells of, wherever it lives."""
    link_in(owner, noted.living(*paths), noted.own["index"])


def is_of(owner: Attachment, found: Link, mac: str = "") -> bool:
    """Tell whether `found` may be the attachment's macvlan, which has `mac` if given.

    The reference plugin gives no alias, and neither does an ADD that was killed.
    """
    if found.kind != PLUGIN:
        return False
    if naming.is_ours(found.alias):
        return found.alias == naming.alias(owner)
    return mac in {"", found.mac}


def stale(owner: Attachment) -> None:
    """Have nothing of an attachment that is known from its record only."""
    noted = attached.read(PLUGIN, owner, own)
    if noted is not None:
        recorded(owner, noted)
    attachments.delete(PLUGIN, owner)
