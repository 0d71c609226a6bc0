# SPDX-License-Identifier: Apache-2.0
"""A lease, and the record of it: written before anybody hears of what it says.

Times are of CLOCK_BOOTTIME, which no step of the host's clock moves: the record does
not survive a boot either.
"""

from __future__ import annotations

import time

from cni_common import attachments, shapes
from cni_common.spec.values import StrEnum, dataclass, replace
from plugins.dhcp.terms import Terms

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv4Interface
    from typing import Any

    from cni_common.naming import Attachment
    from cni_common.shapes import Table

PLUGIN, PLUGIN_IPV6 = "dhcp", "dhcpv6"  # whose records they are
FOREVER = 0xFFFFFFFF


class State(StrEnum):
    """How far a lease is: `ASKING` may hold an address that nobody confirmed."""

    ASKING = "asking"
    HELD = "held"
    LOST = "lost"
    ENDING = "ending"


@dataclass(frozen=True)
class Grant:
    """What a server gave: it is `server`, heard from the MAC `server_mac`.

    `obtained` is when it was asked, and the others seconds from then.
    """

    address: IPv4Interface
    server: IPv4Address
    server_mac: str
    options: dict[int, bytes]
    obtained: float
    lasts: int
    renewal: int
    rebinding: int

    @property
    def ends(self) -> float:
        """When the address is somebody else's."""
        return self.obtained + self.lasts if self.lasts != FOREVER else float("inf")


@dataclass(frozen=True)
class Lease:
    """What is known of an attachment's lease, by the keeper that listens at `socket`.

    `mac` is that of the link when a server was asked last, `cause` why it is lost.
    """

    socket: str
    netns: str
    netns_identity: str
    client_id: bytes
    terms: Terms
    state: State = State.ASKING
    mac: str = ""
    grant: Grant | None = None
    cause: str = ""


def now() -> float:
    """Return the time by which leases are reckoned."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _octets(value: object) -> bytes:
    return bytes.fromhex(shapes.text(value))


def _code(value: object) -> int:
    return int(shapes.bits(8)(int(shapes.text(value))))


def _time(value: object) -> float:
    if isinstance(value, int | float) and value >= 0:
        return float(value)
    raise ValueError(f"{value!r:.40} is not a time")


_OPTIONS = shapes.mapped(_code, _octets)
_GRANT: Table = {
    "address": (shapes.interface, shapes.REQUIRED),
    "server": (shapes.address, shapes.REQUIRED),
    "serverMAC": (shapes.mac, shapes.REQUIRED),
    "options": (_OPTIONS, shapes.REQUIRED),
    "obtained": (_time, shapes.REQUIRED),
    "lasts": (shapes.bits(32), shapes.REQUIRED),
    "renewal": (shapes.bits(32), shapes.REQUIRED),
    "rebinding": (shapes.bits(32), shapes.REQUIRED),
}
_TERMS: Table = {
    "requested": (shapes.listed(shapes.bits(8)), ()),
    "provided": (_OPTIONS, {}),
    "broadcast": (shapes.flag, False),
    "metric": (shapes.bits(32), 0),
    "probe": (shapes.flag, True),
}


def _grant(value: object) -> Grant:
    found = shapes.members(shapes.mapping(value), _GRANT)
    found["server_mac"] = found.pop("serverMAC")
    return Grant(**found)


_TABLE: Table = {
    "netns": (shapes.text, ""),
    "netnsIdentity": (shapes.text, ""),
    "socket": (shapes.text, shapes.REQUIRED),
    "clientID": (_octets, shapes.REQUIRED),
    "terms": (lambda value: Terms(**shapes.table(_TERMS)(value)), shapes.REQUIRED),
    "state": (lambda value: State(shapes.text(value)), shapes.REQUIRED),
    "mac": (shapes.mac, ""),
    "grant": (shapes.optional(_grant), None),
    "cause": (shapes.text, ""),
}


def write(owner: Attachment, lease: Lease) -> None:
    """Write down what is so, or is about to be, for `owner`."""
    terms, grant = lease.terms, lease.grant
    document = {
        "netns": lease.netns,
        "netnsIdentity": lease.netns_identity,
        "socket": lease.socket,
        "clientID": lease.client_id.hex(),
        "terms": {
            "requested": list(terms.requested),
            "provided": _hex(terms.provided),
            "broadcast": terms.broadcast,
            "metric": terms.metric,
            "probe": terms.probe,
        },
        "state": str(lease.state),
        "mac": lease.mac,
        "grant": None,
        "cause": lease.cause,
    }
    if grant is not None:
        document["grant"] = {
            "address": str(grant.address),
            "server": str(grant.server),
            "serverMAC": grant.server_mac,
            "options": _hex(grant.options),
            "obtained": grant.obtained,
            "lasts": grant.lasts,
            "renewal": grant.renewal,
            "rebinding": grant.rebinding,
        }
    attachments.write(PLUGIN, owner, document)


def _hex(options: dict[int, bytes]) -> dict[str, str]:
    return {str(code): held.hex() for code, held in options.items()}


def read(owner: Attachment) -> Lease | None:
    """Return the lease of `owner`, or None when there is none on record."""
    found = attachments.read(PLUGIN, owner, _TABLE)
    return None if found is None else _lease(found)


def of_keeper(socket: str) -> Iterator[tuple[Attachment, Lease]]:
    """Yield what the keeper that listens at `socket` has on record."""
    return (each for each in every() if each[1].socket == socket)


def every() -> Iterator[tuple[Attachment, Lease]]:
    """Yield what any keeper has on record."""
    for owner, found in attachments.of_plugin(PLUGIN, _TABLE):
        yield replace(owner, netns=found["netns"]), _lease(found)


def _lease(found: dict[str, Any]) -> Lease:
    named = {"netnsIdentity": "netns_identity", "clientID": "client_id"}
    return Lease(**{named.get(key, key): found[key] for key in _TABLE})


def delete(owner: Attachment) -> None:
    """Have no record of `owner`."""
    attachments.delete(PLUGIN, owner)
