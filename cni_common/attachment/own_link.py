# SPDX-License-Identifier: Apache-2.0
"""Links made for an attachment, the container's interface: what all kinds share.

It is made in the container's namespace, and its alias says whose it is.
"""

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
    from cni_common.kernel.netns import Namespace
    from cni_common.naming import Attachment

GONE = "the link is gone, and only a new container gets another"


@dataclass(frozen=True, kw_only=True)
class OwnLink(Part):
    """`inside` in the container is a link of `link_kind`, and says whose it is.

    `mtu` in bytes is left to the kernel if 0. What is empty is not looked at. `index`
    is the link's, which whoever is in the container may rename; 0 as long as ADD is
    not complete.
    """

    link_kind = ""

    inside: LinkName
    mac: Mac = ""
    mtu: int = 0
    index: int = 0

    def __str__(self) -> str:
        """Return the sentence."""
        listed = "".join(f", {each}" for each in self.traits())
        return f"{self.inside} in the container is {self._one()}{listed}"

    def _one(self) -> str:
        """Return one link of the kind in words."""
        return f"{'an' if self.link_kind[0] in 'aeiou' else 'a'} {self.link_kind}"

    def traits(self) -> Iterator[str]:
        """Yield what the sentence says of it."""
        if self.mac:
            yield f"MAC {self.mac}"
        if self.mtu:
            yield f"mtu {self.mtu}"

    if TYPE_CHECKING:

        def add(self, node: Node, passing: str) -> None:
            """Add the link, down, called `passing`; raises Code.INTERNAL."""

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        del node
        if self.mac and link.mac != self.mac:
            yield f"its MAC is {link.mac}, not {self.mac}"

    def ensure(self, node: Node) -> None:
        """Ensure the link is in the container, down; raises Code.INTERNAL."""
        from cni_common.kernel import link_moves  # noqa: PLC0415 - not for DEL

        inside, passing = node.container, naming.passing(node.attachment)
        node.undo(_remove, inside, node.attachment, self.link_kind, name=self.inside)
        self.add(node, passing)
        link = links.existing(inside, passing)
        alias = naming.alias(node.attachment)
        if not link_moves.rename(inside, link, self.inside, alias=alias):
            from cni_common.attachment.occupied import existing  # noqa: PLC0415 - rare

            raise existing(node, self.inside)
        node.see_end(replace(link, name=self.inside, alias=alias))

    def made(self, node: Node) -> Self:
        """Return it with the index and the MAC that it has got."""
        link = node.end(self.inside)
        return replace(self, index=link.index, mac=link.mac)

    def remove(self, node: Node) -> None:
        """Remove the link, wherever its namespace lives."""
        path, kind = node.living(), self.link_kind
        _remove_at(path, node.attachment, kind, self.index, name=self.inside)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted of the link."""
        what = f"check interface {self.inside}"
        link = links.get(node.container, self.inside)
        if link is None:
            yield Difference(f"{what}: it does not exist")
            return
        if not _is_of(node.attachment, link, self.link_kind):
            yield Difference(f"{what}: it is not the {self.link_kind} of ADD")
            return
        node.see_end(link)
        for fault in self.faults(node, link):
            yield Difference(f"{what}: {fault}")

    def lasting(self) -> Self:
        """Return it without the MAC, which a later plugin may change."""
        return replace(self, mac="")

    def loss(self, node: Node) -> str:
        """Return that the link is gone, if it is."""
        link = links.get(node.container, self.inside)
        if link is None or not _is_of(node.attachment, link, self.link_kind):
            return GONE
        return ""

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove the link that is called so, and is not told to be another's.

        And those of other names that say they are the attachment's.
        """
        name = node.attachment.ifname
        mac = next(
            (i.mac.lower() for i in node.made if i.sandbox and i.name == name), ""
        )
        path = node.attachment.netns
        _remove_at(path, node.attachment, cls.link_kind, mac=mac, by_alias=True)


@dataclass(frozen=True, kw_only=True)
class UpperLink(OwnLink):
    """Such a link stands on `master`.

    The master is a link of the host, or with `master_inside` of the container.
    """

    master: LinkName
    master_inside: bool = False

    def __str__(self) -> str:
        """Return the sentence."""
        where = "the container's " if self.master_inside else ""
        listed = "".join(f", {each}" for each in self.traits())
        link = f"{self.inside} in the container is {self._one()}"
        return f"{link} on {where}{self.master}{listed}"

    def on(self, node: Node) -> Link:
        """Return the master; raises Code.INTERNAL."""
        return (node.end if self.master_inside else node.link)(self.master)

    def place(self, node: Node) -> tuple[Netlink, Namespace | None]:
        """Return where the master is, and into which namespace the link goes."""
        if self.master_inside:
            return node.container, None
        return node.host, node.namespace

    def faults(self, node: Node, link: Link) -> Iterator[str]:
        """Yield what of `link` is not as wanted, in words about `it`."""
        lower = self.on(node)
        if link.peer != lower.index:
            yield f"its master is not {lower.name}"
        yield from super().faults(node, link)

    def loss(self, node: Node) -> str:
        """Return that the link is gone, if it is."""
        is_there = not super().loss(node)
        if is_there and node.end(self.inside).peer == self.on(node).index:
            return ""
        return GONE


def _remove_at(  # noqa: PLR0913 - by what a link is known
    path: str,
    attachment: Attachment,
    kind: str,
    index: int = 0,
    *,
    name: str = "",
    mac: str = "",
    by_alias: bool = False,
) -> None:
    """Remove the link of the attachment in the namespace at `path`, if that lives.

    The link of another attachment stays, and one that does not say whose it is if
    another `mac` is known: the path may name the namespace of a new container by now.
    """
    container = netns.open_living(path)
    if container is None:
        return
    with container, netns.entered(container), Netlink() as inside:
        _remove(inside, attachment, kind, index, name=name, mac=mac)
        if by_alias:
            for each in links.of_kind(inside, kind):
                if each.alias == naming.alias(attachment):
                    links.delete(inside, each.name)


def _remove(  # noqa: PLR0913 - by what a link is known
    inside: Netlink,
    attachment: Attachment,
    kind: str,
    index: int = 0,
    *,
    name: str = "",
    mac: str = "",
) -> None:
    found = links.by_index(inside, index) if index else None
    # An ADD may have been killed before it had its name.
    for each in (name or attachment.ifname, naming.passing(attachment)):
        if found is None or not _is_of(attachment, found, kind, mac):
            found = links.get(inside, each)
    if found is not None and _is_of(attachment, found, kind, mac):
        links.delete(inside, found.name)


def _is_of(attachment: Attachment, found: Link, kind: str, mac: str = "") -> bool:
    """Tell whether `found` may be the attachment's link, which has `mac` if given.

    The reference plugin gives no alias, and neither does an ADD that was killed.
    """
    if found.kind != kind:
        return False
    if naming.is_ours(found.alias):
        return found.alias == naming.alias(attachment)
    return mac in {"", found.mac}
