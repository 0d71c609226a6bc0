# SPDX-License-Identifier: Apache-2.0
"""A macvlan: the container's interface, with a MAC of its own on a master."""

from __future__ import annotations

from cni_common import naming
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName, Mac
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment


@dataclass(frozen=True, kw_only=True)
class Macvlan(Part):
    """`inside` in the container stands on `master`, and says whose it is.

    The master is a link of the host, or with `master_inside` of the container. `mtu` in
    bytes and `bcqueuelen` in frames are left to the kernel if 0. `mac` stays the
    interface's in mode passthru if it is `keeps_mac`: the kernel takes the master's.
    What is empty is not looked at. `index` is the link's, which whoever is in the
    container may rename; 0 as long as ADD is not complete.
    """

    inside: LinkName
    master: LinkName
    master_inside: bool = False
    mode: str = ""
    mac: Mac = ""
    keeps_mac: bool = False
    mtu: int = 0
    bcqueuelen: int = 0
    index: int = 0

    def __str__(self) -> str:
        """Return the sentence."""
        where = "the container's " if self.master_inside else ""
        more = [f"mode {self.mode}"] if self.mode else []
        more += [f"MAC {self.mac}"] if self.mac else []
        more += [f"mtu {self.mtu}"] if self.mtu else []
        more += [f"bcqueuelen {self.bcqueuelen}"] if self.bcqueuelen else []
        listed = "".join(f", {each}" for each in more)
        link = f"{self.inside} in the container is a macvlan"
        return f"{link} on {where}{self.master}{listed}"

    def ensure(self, node: Node) -> None:
        """Ensure the link is in the container, down; raises Code.INTERNAL."""
        from cni_common.kernel import link_moves, macvlans  # noqa: PLC0415 - not for DEL

        inside = node.container
        node.undo(_remove, inside, node.attachment)
        macvlans.add(
            inside if self.master_inside else node.host,
            self.inside,
            self._master(node),
            passing=naming.passing(node.attachment),
            mode=self.mode,
            mac=self.mac,
            mtu=self.mtu,
            bc_queue_len=self.bcqueuelen,
            namespace=None if self.master_inside else node.namespace,
        )
        link = links.existing(inside, naming.passing(node.attachment))
        alias = naming.alias(node.attachment)
        if not link_moves.rename(inside, link, self.inside, alias=alias):
            from cni_common.attachment.occupied import existing  # noqa: PLC0415 - rare

            raise existing(node, self.inside)
        if self.keeps_mac:
            links.set_mac(inside, self.inside, self.mac)
            link = replace(link, mac=self.mac)
        node.see_end(replace(link, name=self.inside, alias=alias))

    def made(self, node: Node) -> Macvlan:
        """Return it with the index and the MAC that it has got."""
        link = node.end(self.inside)
        return replace(self, index=link.index, mac=link.mac)

    def remove(self, node: Node) -> None:
        """Remove the link, wherever its namespace lives."""
        _remove_at(node.living(), node.attachment, self.index)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of the link."""
        from cni_common.kernel import macvlans  # noqa: PLC0415 - not for DEL

        lower, what = self._master(node), f"check interface {self.inside}"
        link = links.get(node.container, self.inside)
        if link is None:
            yield Difference(f"{what}: it does not exist")
            return
        if not _is_of(node.attachment, link):
            yield Difference(f"{what}: it is not the macvlan of ADD")
            return
        node.see_end(link)
        if link.peer != lower.index:
            yield Difference(f"{what}: its master is not {lower.name}")
        if self.mac and link.mac != self.mac:
            yield Difference(f"{what}: its MAC is {link.mac}, not {self.mac}")
        found = macvlans.get(node.container, self.inside)
        if self.mode and (found is None or found.mode != self.mode):
            mode = found.mode if found else "none"
            yield Difference(f"{what}: its mode is {mode}, not {self.mode}")
        length = found.bc_queue_len if found else 0
        if self.bcqueuelen not in {0, length}:
            yield Difference(
                f"{what}: its bcqueuelen is {length}, not {self.bcqueuelen}"
            )

    def lasting(self) -> Self:
        """Return it without the MAC, which a later plugin may change."""
        return replace(self, mac="")

    def loss(self, node: Node) -> str:
        """Return that the link is gone, if it is."""
        link = links.get(node.container, self.inside)
        of_add = link is not None and _is_of(node.attachment, link)
        if link is None or not of_add or link.peer != self._master(node).index:
            return "the link is gone, and only a new container gets another"
        return ""

    def repair(self, node: Node) -> None:
        """Give the link its options back; raises Code.INTERNAL."""
        from cni_common.kernel import macvlans  # noqa: PLC0415 - not for DEL

        link = links.existing(node.container, self.inside)
        if self.mode:
            macvlans.change(node.container, link, self.mode, self.bcqueuelen)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove the macvlan that is called so, and is not told to be another's."""
        name = node.attachment.ifname
        mac = next(
            (i.mac.lower() for i in node.made if i.sandbox and i.name == name), ""
        )
        _remove_at(node.attachment.netns, node.attachment, mac=mac)

    def _master(self, node: Node) -> Link:
        return (node.end if self.master_inside else node.link)(self.master)


def _remove_at(
    path: str, attachment: Attachment, index: int = 0, *, mac: str = ""
) -> None:
    """Remove the link of the attachment in the namespace at `path`, if that lives.

    The link of another attachment stays, and one that does not say whose it is if
    another `mac` is known: the path may name the namespace of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return
    with container, netns.entered(container), Netlink() as inside:
        _remove(inside, attachment, index, mac)


def _remove(
    inside: Netlink, attachment: Attachment, index: int = 0, mac: str = ""
) -> None:
    found = links.by_index(inside, index) if index else None
    # An ADD may have been killed before it had its name.
    for name in (attachment.ifname, naming.passing(attachment)):
        if found is None or not _is_of(attachment, found, mac):
            found = links.get(inside, name)
    if found is not None and _is_of(attachment, found, mac):
        links.delete(inside, found.name)


def _is_of(attachment: Attachment, found: Link, mac: str = "") -> bool:
    """Tell whether `found` may be the attachment's macvlan, which has `mac` if given.

    The reference plugin gives no alias, and neither does an ADD that was killed.
    """
    if found.kind != "macvlan":
        return False
    if naming.is_ours(found.alias):
        return found.alias == naming.alias(attachment)
    return mac in {"", found.mac}
