# SPDX-License-Identifier: Apache-2.0
"""What is done for one attachment, as values; its record.

Only the standard library: DEL works from the record and imports no model.
"""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.spec.values import StrEnum, dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cni_common.naming import Attachment
    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress

NAME = "firewall"
ADMIN_CHAIN = "CNI-ADMIN"
FIREWALLD_ZONE = "trusted"


class Backend(StrEnum):
    """What carries the rules; AUTOMATIC goes by what the host has."""

    AUTOMATIC = ""
    NFTABLES = "nftables"
    IPTABLES = "iptables"
    FIREWALLD = "firewalld"


class Policy(StrEnum):
    """ingressPolicy: who may open connections to a container by forwarding."""

    OPEN = "open"
    SAME_BRIDGE = "same-bridge"
    ISOLATED = "isolated"


def _policy(value: object) -> Policy:
    return Policy(shapes.text(value))


def _backend(value: object) -> Backend:
    return Backend(shapes.text(value))


_LINKS = (shapes.listed(shapes.link), shapes.REQUIRED)
TABLE: Table = {
    "addresses": (shapes.listed(shapes.address), shapes.REQUIRED),
    "policy": (_policy, shapes.REQUIRED),
    "links": _LINKS,
    "ports": _LINKS,
    "filters": (shapes.listed(shapes.word), shapes.REQUIRED),
    "admin_chain": (shapes.word, shapes.REQUIRED),
    "zone": (shapes.word, shapes.REQUIRED),
    # Records of earlier builds have not these two.
    "backend": (_backend, Backend.AUTOMATIC),
    "home_zone": (shapes.word, FIREWALLD_ZONE),
}


@dataclass(frozen=True)
class Protection:
    """What is done for an attachment, and where.

    links: the host's links towards the container; ports: its ports of bridges. filters
    are tables of iptables such as "nft4" and "legacy6"; without any, the rules are in
    the nftables table. zone is "" where firewalld has no part, home_zone the one that
    it would be. backend is what the configuration asked for.
    """

    addresses: tuple[IPAddress, ...]
    policy: Policy = Policy.OPEN
    links: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    admin_chain: str = ADMIN_CHAIN
    zone: str = ""
    backend: Backend = Backend.AUTOMATIC
    home_zone: str = FIREWALLD_ZONE

    @property
    def guarded(self) -> tuple[str, ...]:
        """The links that are kept apart from other guarded ones."""
        return () if self.policy is Policy.OPEN else self.links

    @property
    def isolated(self) -> tuple[str, ...]:
        """The links within which nothing is forwarded."""
        return self.links if self.policy is Policy.ISOLATED else ()

    @property
    def isolated_ports(self) -> tuple[str, ...]:
        """The ports of bridges that exchange no frames with one another."""
        return self.ports if self.policy is Policy.ISOLATED else ()

    def document(self) -> dict[str, Any]:
        """Return the protection as JSON values."""
        return {
            **vars(self),
            "addresses": [str(address) for address in self.addresses],
        }


def read(attachment: Attachment) -> Protection | None:
    """Return what is recorded of `attachment`, or None."""
    record = attachments.read(NAME, attachment, TABLE)
    return None if record is None else _of_record(record)


def recorded() -> Iterator[tuple[Attachment, Protection]]:
    """Yield all that is recorded."""
    for attachment, record in attachments.of_plugin(NAME, TABLE):
        yield attachment, _of_record(record)


def _of_record(record: dict[str, Any]) -> Protection:
    return Protection(**{key: record[key] for key in TABLE})


def write(attachment: Attachment, protection: Protection | None) -> None:
    """Record `protection`, or have no record if there is none."""
    if protection is None:
        attachments.delete(NAME, attachment)
    else:
        attachments.write(NAME, attachment, protection.document())
