# SPDX-License-Identifier: Apache-2.0
"""The names of a container, as its network's dnsmasq serves them."""

from __future__ import annotations

from cni_common import naming
from cni_common.attachment import record
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.names import answers, server
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Word
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPAddress


@dataclass(frozen=True, kw_only=True)
class Names(Part):
    """Who asks at one of `servers` for one of `names` is told `addresses`."""

    names: tuple[Word, ...]
    addresses: tuple[IPAddress, ...]
    servers: tuple[IPAddress, ...]

    def __str__(self) -> str:
        """Return the sentence."""
        where = f"at {', '.join(map(str, self.addresses))}"
        if not self.names:
            return f"the container {where} has no name"
        return f"the container {where} is found by {', '.join(self.names)}"

    def ensure(self, node: Node) -> None:
        """Serve the names, and return when each server answers with them.

        Raises CNIError.
        """
        network, file = node.attachment.network, server.file_of(node.attachment)
        with server.lock():
            node.undo(_put_back, network, file, server.published(network, file))
            server.publish(network, file, self.hosts(node.attachment))
            answers.await_added(network, self)

    def replace(self, node: Node, former: Part) -> None:
        """Serve these names and no others."""
        del former
        self.ensure(node)

    def remove(self, node: Node) -> None:
        """Serve no name, end an idle dnsmasq, return when no server answers with one.

        The address may pass to another container then, but not with the old name.
        Raises CNIError.
        """
        network, file = node.attachment.network, server.file_of(node.attachment)
        with server.lock():
            is_lost = server.published(network, file) is None
            server.publish(network, file, None)
            if is_lost and not _is_used(node):
                server.end_lost(network)
            if not server.is_used(network) or not server.is_running(network):
                return
            if not answers.await_removed(network, self):
                name = self.names[0] if self.names else str(node.attachment)
                node.warn(f"dnsmasq of {network} still knows {name}")

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is missing: the file, else the answers of a dnsmasq that runs."""
        network = node.attachment.network
        file = server.file_of(node.attachment)
        if server.published(network, file) != self.hosts(node.attachment):
            where = f"file in {server.hosts_directory(network)}"
            cause = "is missing or changed"
            yield Difference(f"check names of {node.attachment}: {where} {cause}")
        elif server.is_running(network):
            yield from differences_of(answers.check, network, self)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Serve no name, nor one that Podman's plugin has given."""
        from cni_common.reference import dnsname  # noqa: PLC0415 - no record: rare

        network = node.attachment.network
        with server.lock():
            server.publish(network, server.file_of(node.attachment), None)
            if node.request is not None:
                dnsname.delete(node.request)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Serve no name of an attachment of `network` that is not `valid`."""
        with server.lock():
            server.collect(network, valid)

    def hosts(self, attachment: Attachment) -> str:
        """Return the lines that dnsmasq reads, their owner on top, as in /etc/hosts.

        The first name is the answer to a question for an address.
        """
        names = " ".join(self.names)
        lines = [f"{address} {names}" for address in self.addresses] if names else []
        return "\n".join([f"# {naming.comment(attachment)}", *lines, ""])


def _is_used(node: Node) -> bool:
    """Tell whether names of another attachment are served, or should be."""
    network = node.attachment.network
    others = record.others(node.plugin, node.attachment)
    return server.is_used(network) or any(a.network == network for a, _ in others)


def _put_back(network: str, file: str, text: str | None) -> None:
    with server.lock():
        server.publish(network, file, text)
