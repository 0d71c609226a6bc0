# SPDX-License-Identifier: Apache-2.0
"""What the container sends is limited: on its way it passes an ifb."""

from __future__ import annotations

from cni_common import limited_link, naming
from cni_common.frame.rollback import Gather
from cni_common.kernel import filters, ifbs, link_removal, links, qdiscs
from cni_common.kernel.filters import ETH_P_ALL, Filter
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Bits32, LinkName, Mac
    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.netlink import Netlink
    from cni_common.spec.fields import IPNetwork

# Behind the filters of all others, such as the guard of a link with route_localnet:
# what they drop must not get round them, and what is redirected is not asked again.
# One priority has one protocol, and the first that matches decides.
_PRIORITIES = {4: 0xFF01, 6: 0xFF02, 0: 0xFF03}


@dataclass(frozen=True, kw_only=True)
class EgressLimit(limited_link.LimitedLink):
    """What comes in by `link` of the host, of that `index`, is limited.

    It is redirected to an ifb, whose root is tbf. That has the first of `ifbs` that is
    free as its name, and `ifb_mac` by which it is told from another's. `rate` in bits a
    second, `burst` in bits; it holds a frame of `mtu` bytes at least. What goes to
    `subnets` alone is limited when `only`, else all but that. `adds_ingress` tells
    whether the discipline for the filters is ours: an agent of the host may have one.
    """

    link: LinkName
    index: Bits32
    mtu: Bits32
    rate: int
    burst: int
    ifbs: tuple[LinkName, ...]
    ifb_mac: Mac
    subnets: tuple[IPNetwork, ...] = ()
    only: bool = False
    adds_ingress: bool = True

    def __str__(self) -> str:
        """Return the sentence."""
        which = limited_link.told("to", self.subnets, only=self.only)
        rate = limited_link.rate(self.rate)
        return f"the container sends at most {rate} by {self.link}{which}"

    def ensure(self, node: Node) -> None:
        """Limit what comes in by the link; raises Code.INTERNAL."""
        host, link = node.host, limited_link.existing(node, self.link, self.index)
        ifb = self._add_ifb(node)
        qdiscs.add_tbf(host, ifb, self.bucket)
        if self.adds_ingress:
            qdiscs.add_ingress(host, link)
        node.undo(self._stop_redirecting, host, link)
        filters.add(host, link, qdiscs.INGRESS, self._filters(ifb))

    def remove(self, node: Node) -> None:
        """Remove filters and ifb; the link may be gone. Raises Code.INTERNAL.

        First what redirects, for a packet that is led to a missing ifb is lost.
        """
        with Gather() as errors:
            link = errors.attempt(limited_link.find, node, self.link, self.index)
            if link is not None:
                errors.attempt(self._stop_redirecting, node.host, link)
            errors.attempt(self._delete_ifb, node)

    def ifb(self, node: Node) -> Link | None:
        """Return the ifb of the attachment, or None when it is missing."""
        for name in self.ifbs:
            ifb = ifbs.get(node.host, name)
            if ifb is not None and ifb.mac == self.ifb_mac:
                return ifb
        return None

    def require(self, node: Node) -> None:
        host, link = node.host, limited_link.existing(node, self.link, self.index)
        ifb = self.ifb(node)
        if ifb is None:
            raise limited_link.failed(f"missing ifb {' or '.join(self.ifbs)}")
        if not ifb.is_up:
            raise limited_link.failed(f"ifb {ifb.name} is down")
        limited_link.require_tbf(host, ifb, self.bucket)
        if not qdiscs.has_ingress(host, link):
            raise limited_link.failed(f"missing qdisc ingress of link {link.name}")
        wanted = self._filters(ifb)
        limited_link.require_filters(host, link, qdiscs.INGRESS, wanted)

    def _filters(self, ifb: Link) -> list[Filter]:
        """Return the filters that send to `ifb` what is limited."""
        redirect = ifb.index if self.only else 0
        found = [
            Filter(
                _PRIORITIES[network.version],
                limited_link.PROTOCOLS[network.version],
                filters.keys(network, source=False),
                redirect=redirect,
            )
            for network in self.subnets
        ]
        if not self.only:
            found.append(Filter(_PRIORITIES[0], ETH_P_ALL, redirect=ifb.index))
        return found

    def _add_ifb(self, node: Node) -> Link:
        host = node.host
        node.undo(self._delete_ifb, node)  # one of which nobody heard, too
        for name in self.ifbs:
            if ifbs.add(host, name, mac=self.ifb_mac, mtu=self.mtu):
                links.set_alias(host, name, naming.alias(node.attachment))
                return links.existing(host, name)
        msg = f"add ifb {' or '.join(self.ifbs)}: there is a link of that name"
        raise CNIError(Code.INTERNAL, msg)

    def _delete_ifb(self, node: Node) -> None:
        ifb = self.ifb(node)
        if ifb is not None:
            link_removal.delete(ifb)

    def _stop_redirecting(self, host: Netlink, link: Link) -> None:
        """Remove what is ours where `link` is filtered, and nothing of others."""
        if qdiscs.has_ingress(host, link):
            _delete_filters(host, link)
            if self.adds_ingress:
                _delete_ingress_if_empty(host, link)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove the attachment's ifb, and all limits of the link that leads to it.

        That may be the reference plugin's, or ours after the record's loss.
        """
        own = naming.alias(node.attachment)
        reference, other = naming.ifbs(node.attachment)
        with Gather() as errors:
            for name, aliases in ((reference, {"", own}), (other, {own})):
                ifb = errors.attempt(ifbs.get, node.host, name)
                if ifb is not None and ifb.alias in aliases:
                    errors.attempt(_release_link, node, ifb)
                    errors.attempt(link_removal.delete, ifb)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Delete each ifb that says it is of an attachment of `network` not `valid`.

        The reference's ifbs do not say whose they are, so they stay.
        """
        from cni_common.kernel.netlink import Netlink  # noqa: PLC0415 - for GC alone

        kept = {naming.alias(Attachment(network, *identity)) for identity in valid}
        with Netlink() as host, Gather() as errors:
            for ifb in ifbs.of_host(host):
                if ifb.alias.startswith(f"cni {network} ") and ifb.alias not in kept:
                    errors.attempt(link_removal.delete, ifb)


def _delete_filters(host: Netlink, link: Link) -> None:
    """Delete the filters that lead what comes in by `link` to an ifb."""
    protocols = {0: ETH_P_ALL, **limited_link.PROTOCOLS}
    ours = [(_PRIORITIES[key], protocol) for key, protocol in protocols.items()]
    filters.delete(host, link, qdiscs.INGRESS, ours)


def _delete_ingress_if_empty(host: Netlink, link: Link) -> None:
    """Delete the ingress discipline, unless somebody has filters in it."""
    if not filters.is_any(host, link, qdiscs.INGRESS):
        qdiscs.delete_ingress(host, link)


def _release_link(node: Node, ifb: Link) -> None:
    """Remove the limits of the container's link, if it leads to `ifb`."""
    if not node.finds_namespace():
        return
    end = links.get(node.container, node.attachment.ifname)
    link = links.by_index(node.host, end.peer) if end and end.kind == "veth" else None
    # An index alone could be that of a link in any namespace.
    if link is None or end is None or link.peer != end.index:
        return
    listed = filters.of_link(node.host, link, qdiscs.INGRESS)
    leading = {(f.priority, f.protocol) for f in listed if f.redirect == ifb.index}
    if leading:
        filters.delete(node.host, link, qdiscs.INGRESS, leading)
        _delete_filters(node.host, link)
        _delete_ingress_if_empty(node.host, link)
        for kind in ("tbf", "htb"):
            qdiscs.delete_root(node.host, link, kind)
