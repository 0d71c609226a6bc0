# SPDX-License-Identifier: Apache-2.0
"""A network's dnsmasq: started for the first container, ended with the last names."""

from __future__ import annotations

from cni_common.attachment.part import Difference, Part
from cni_common.names import server
from cni_common.names.dnsmasq import Service
from cni_common.spec.values import dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName, Word
    from cni_common.spec.fields import IPAddress, IPNetwork


@dataclass(frozen=True, kw_only=True)
class NameServer(Part):
    """The dnsmasq of `network` answers on `links`, and for `domain` by itself.

    Other names are asked for at `remote_servers`, or without any where the host asks;
    those of the domain that it has not, and addresses of `pools`, at `domain_server`.
    The last ADD decides on all; links that another ADD has named stay. One of a record
    of before knows none of it: all is as it is.
    """

    network: str
    links: tuple[LinkName, ...] = ()
    domain: Word = ""
    remote_servers: tuple[IPAddress, ...] = ()
    domain_server: Word = ""
    pools: tuple[IPNetwork, ...] = ()

    def __str__(self) -> str:
        """Return the sentence."""
        on = f" on {', '.join(self.links)}" if self.links else ""
        own = f"in {self.domain}" if self.domain else "without a dot"
        others = ", ".join(map(str, self.remote_servers)) or "the host's servers"
        answers = f"dnsmasq of {self.network} answers{on} for names {own}"
        if self.domain_server:
            answers += f", asks {self.domain_server} for those of other nodes"
        return f"{answers}, and asks {others} for others"

    def ensure(self, node: Node) -> None:
        """Ensure that it runs, and goes on serving other links. Raises CNIError."""
        self._start(node)

    def replace(self, node: Node, former: Part) -> None:
        """Ensure that it runs as wanted now."""
        del former
        self._start(node)

    def repair(self, node: Node) -> None:
        """Ensure that it runs as it did, but for what is wanted otherwise."""
        self._start(node, keep=True)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield that it does not run, or what it was not started for."""
        network = node.attachment.network
        what = f"check dnsmasq of network {network}"
        if not server.is_running(network):
            yield Difference(f"{what}: not running")
            return
        present = server.service(network)
        if self._service(present, keep=True) != present:
            yield Difference(f"{what}: it was started for other links or names")

    def lasting(self) -> Self:
        """Return it as any ADD would have it."""
        return replace(self, domain="", remote_servers=(), domain_server="", pools=())

    def common(self) -> Self:
        """Return it: it is the network's."""
        return type(self)(network=self.network)

    def loss(self, node: Node) -> str:
        """Tell whether nobody knows where it has to answer."""
        known = self.links or server.service(node.attachment.network)
        return "" if known else "its links are not on record"

    def _start(self, node: Node, *, keep: bool = False) -> None:
        """Ensure that it runs; the attachment holds it by a file without names."""
        network, file = node.attachment.network, server.file_of(node.attachment)
        with server.lock():
            before, held = server.service(network), server.published(network, file)
            wanted = self._service(before, keep=keep)
            node.undo(_revert, node, before, wanted, held)
            if held is None:
                server.publish(network, file, "")
            if before is None:
                from cni_common.reference import dnsname  # noqa: PLC0415 - rarely needed

                dnsname.adopt(network, self.domain)
            server.ensure(network, wanted, _env(node))

    def _service(self, present: Service | None, *, keep: bool) -> Service:
        """Return what it is to be started for; `keep` what is not said as it is."""
        links, domain, servers = set(self.links), self.domain, self.remote_servers
        to, pools = self.domain_server, self.pools
        if present is not None:
            links |= set(present.links)
            if keep:
                domain = domain or present.domain
                servers = servers or present.remote_servers
                to, pools = to or present.domain_server, pools or present.pools
        return Service(tuple(sorted(links)), domain, servers, to, pools)


def _revert(
    node: Node, before: Service | None, wanted: Service, held: str | None
) -> None:
    """Put back what a failed ADD changed, unless another ADD has changed it since."""
    network = node.attachment.network
    with server.lock():
        server.publish(network, server.file_of(node.attachment), held)
        if before is None or not server.is_used(network):
            return
        if server.service(network) in {None, wanted}:
            server.ensure(network, before, _env(node))


def _env(node: Node) -> dict[str, str]:
    return dict(node.request.env) if node.request else {}
