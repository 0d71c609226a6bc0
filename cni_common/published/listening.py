# SPDX-License-Identifier: Apache-2.0
"""Processes of the host that lose a port to a container: told, not refused.

A runtime may have reasons; Podman and Docker have processes that only hold a port.
"""

from __future__ import annotations

from cni_common.kernel import listeners
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.listeners import Listener
    from cni_common.published.claims import Claim, Port
    from cni_common.published.ledger import Claims


class Loser(NamedTuple):
    """A socket of the host past which a port leads, and whose it is, in words."""

    port: Port
    who: str
    address: str

    def __str__(self) -> str:
        return f"{self.port} leads past {self.who}, which listens at {self.address}"


def losers(claims: Claims) -> Iterator[Loser]:
    """Yield the sockets of the host past which `claims` lead."""
    for port, listener in _listeners(claims):
        who = _process(listener.inode, {c.container_id for c in claims[port]})
        if who:
            yield Loser(port, who, str(listener.addresses[0]))


def ports(claims: Claims) -> set[Port]:
    """Return the ports of `claims` at which a socket of the host waits, too."""
    return {port for port, _ in _listeners(claims)}


def _listeners(claims: Claims) -> Iterator[tuple[Port, Listener]]:
    for protocol in sorted({port.protocol for port in claims}):
        numbers = {port.number: port for port in claims if port.protocol == protocol}
        for listener in listeners.of(protocol, numbers.keys()):
            port = numbers[listener.port]
            if any(_takes_from(listener, claim) for claim in claims[port]):
                yield port, listener


def _takes_from(listener: Listener, claim: Claim) -> bool:
    published = claim.published
    return any(
        address.is_unspecified or published[address.version] in {"", str(address)}
        for address in listener.addresses
        if address.version in published
    )


def _process(inode: int, container_ids: set[str]) -> str:
    """Return who has a socket, "" if it is there for this very container.

    Podman's monitor of a container keeps the ports of it bound; its command line has
    the container's ID.
    """
    from cni_common.kernel import processes  # noqa: PLC0415 - rare

    for number in sorted(processes.numbers()):
        with processes.opened(number) as process:
            if process is None or not process.has_socket(inode):
                continue
            if container_ids.intersection(process.arguments()):
                return ""
            return f"process {number} ({process.name()})"
    return "a process that cannot be seen"
