# SPDX-License-Identifier: Apache-2.0
"""Ports of the host, where they lead, and the claims of those who hold them.

nft cannot say who owns an element, nor whether its owner still lives. A claim can.
"""

from __future__ import annotations

import ipaddress

from cni_common import shapes
from cni_common.kernel import netns_identity
from cni_common.kernel.element_bytes import PROTOCOLS
from cni_common.naming import Attachment
from cni_common.spec.characters import is_port
from cni_common.spec.values import NamedTuple, dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress


class Port(NamedTuple):
    """A port of the host: protocol in lower case and number."""

    protocol: str
    number: int

    def __str__(self) -> str:
        return f"{self.protocol} port {self.number}"

    @property
    def name(self) -> str:
        """The name by which it is written down: tcp-8080."""
        return f"{self.protocol}-{self.number}"

    @classmethod
    def named(cls, name: object) -> Port:
        """Return the port that is written down as `name`; ValueError for none."""
        protocol, _, number = shapes.text(name).partition("-")
        if protocol not in PROTOCOLS or not is_port(number):
            msg = "it is no port"
            raise ValueError(msg)
        return cls(protocol, int(number))


_HOST_IP = shapes.same(lambda value: value == "" or shapes.address(value))
_TARGET: Table = {
    "address": (shapes.same(shapes.address), shapes.REQUIRED),
    "link": (shapes.link, shapes.REQUIRED),
    "conditions": (shapes.text, ""),
}
_MAPPING: Table = {
    "port": (Port.named, shapes.REQUIRED),
    "containerPort": (shapes.bits(16), shapes.REQUIRED),
    "hostIP": (_HOST_IP, shapes.REQUIRED),
}


@dataclass(frozen=True)
class Target:
    """Where a port leads in one family: address, link towards it, conditions.

    The link is "" when the host had no route to the address.
    """

    address: str
    link: str
    conditions: str = ""

    def __str__(self) -> str:
        return self.address + (f" if {self.conditions}" if self.conditions else "")

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4

    def document(self) -> dict[str, Any]:
        """Return the target as JSON values."""
        return {**vars(self)}

    @classmethod
    def of_document(cls, document: object) -> Target:
        """Return the target that `document` says, or raise ValueError."""
        return cls(**shapes.members(shapes.mapping(document), _TARGET))


@dataclass(frozen=True)
class Mapping:
    """A port of the host that leads to a port of the container; host_ip as in Claim.

    A container port of 0 is not known, and leads nowhere.
    """

    port: Port
    container_port: int
    host_ip: str = ""

    def __str__(self) -> str:
        at = f" of {self.host_ip}" if self.host_ip else ""
        return f"{self.port}{at} leads to port {self.container_port}"

    @property
    def families(self) -> tuple[int, ...]:
        """The families in which it may lead anywhere."""
        if self.host_ip:
            return (6 if ":" in self.host_ip else 4,)
        return (4, 6)

    def targets_of(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Return those of `targets` to which it leads."""
        return tuple(t for t in targets if t.family in self.families)

    def document(self) -> dict[str, Any]:
        """Return the mapping as JSON values."""
        port, at = self.port.name, self.host_ip
        return {"port": port, "containerPort": self.container_port, "hostIP": at}

    @classmethod
    def of_document(cls, document: object) -> Mapping:
        """Return the mapping that `document` says, or raise ValueError."""
        found = shapes.members(shapes.mapping(document), _MAPPING)
        return cls(found["port"], found["containerPort"], found["hostIP"])


_CLAIM: Table = {
    "host_ip": (_HOST_IP, ""),
    **dict.fromkeys(
        ("network", "container_id", "ifname", "netns", "identity"),
        (shapes.text, shapes.REQUIRED),
    ),
    "container_port": (shapes.number, shapes.REQUIRED),
    "targets": (shapes.listed(Target.of_document), shapes.REQUIRED),
    "snat": (shapes.flag, True),
    "masq_all": (shapes.flag, False),
    "counters": (shapes.flag, False),
}


@dataclass(frozen=True)
class Claim:
    """An attachment's hold on a port of the host.

    host_ip: "" for every address, "0.0.0.0" and "::" for every one of a family, or
    one address. netns and identity tell whether the holder lives. With `counters` what
    passes by the port is counted.
    """

    host_ip: str
    network: str
    container_id: str
    ifname: str
    netns: str
    identity: str
    container_port: int
    targets: tuple[Target, ...]
    snat: bool = True
    masq_all: bool = False
    counters: bool = False

    @classmethod
    def of_document(cls, document: object) -> Claim:
        """Return the claim that `document` says, or raise ValueError."""
        return cls(**shapes.members(shapes.mapping(document), _CLAIM))

    def document(self) -> dict[str, Any]:
        """Return the claim as JSON values."""
        targets = [target.document() for target in self.targets]
        return {**vars(self), "targets": targets}

    def without_conditions(self) -> Claim:
        """Return the claim as it is for every packet."""
        free = tuple(replace(target, conditions="") for target in self.targets)
        return replace(self, targets=free)

    @property
    def attachment(self) -> Attachment:
        """The holder."""
        return Attachment(self.network, self.container_id, self.ifname)

    @property
    def published(self) -> dict[int, str]:
        """The host address in each family that the claim is for; "" is any."""
        families = {target.family for target in self.targets}
        if not self.host_ip:
            return dict.fromkeys(families, "")
        address = ipaddress.ip_address(self.host_ip)
        at = "" if address.is_unspecified else self.host_ip
        return {address.version: at} if address.version in families else {}

    def overlaps(self, other: Claim) -> bool:
        """Tell whether a packet could be meant for both."""
        mine, theirs = self.published, other.published
        return any(
            mine[family] == theirs[family] or not mine[family] or not theirs[family]
            for family in mine.keys() & theirs.keys()
        )

    def shared(self, other: Claim) -> list[IPAddress]:
        """Return the addresses to which both lead."""
        mine = {target.address for target in self.targets}
        both = [t.address for t in other.targets if t.address in mine]
        return [ipaddress.ip_address(address) for address in both]

    def lives(self) -> bool:
        """Tell whether the holder's network namespace still exists.

        One that is not known, because the record was lost, is taken for that.
        """
        return not self.identity or netns_identity.lives(self.netns, self.identity)

    def is_as(self, wanted: Claim) -> bool:
        """Tell whether this is what `wanted` says, whose conditions are its own matter.

        The namespace may be unknown.
        """
        known = self.without_conditions()
        if not known.identity:
            known = replace(known, netns=wanted.netns, identity=wanted.identity)
        return known == wanted.without_conditions()


def read(document: object) -> tuple[list[Claim], str]:
    """Return the claims that `document` says, and why one is left out, if any is."""
    if not isinstance(document, list):
        return [], "it is no list of claims"
    found, cause = [], ""
    for item in document:
        try:
            found.append(Claim.of_document(item))
        except ValueError as error:
            cause = str(error)
    return found, cause
