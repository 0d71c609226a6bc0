# SPDX-License-Identifier: Apache-2.0
"""Who holds which port of the host: claims, and what a new one does to the others.

nft cannot say who owns an element, nor whether its owner still lives. A claim can.
"""

from __future__ import annotations

import ipaddress

from cni_common import shapes
from cni_common.kernel import netns, route_get
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple, dataclass, replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from cni_common.shapes import Table
    from cni_common.spec.fields import IPAddress


class Port(NamedTuple):
    """A port of the host: protocol in lower case and number."""

    protocol: str
    number: int

    def __str__(self) -> str:
        return f"{self.protocol} port {self.number}"


_TARGET: Table = {
    "address": (shapes.same(shapes.address), shapes.REQUIRED),
    "link": (shapes.link, shapes.REQUIRED),
    "conditions": (shapes.text, ""),
}
_CLAIM: Table = {
    "host_ip": (shapes.same(lambda value: value == "" or shapes.address(value)), ""),
    **dict.fromkeys(
        ("network", "container_id", "ifname", "netns", "identity"),
        (shapes.text, shapes.REQUIRED),
    ),
    "container_port": (shapes.number, shapes.REQUIRED),
    "targets": (shapes.listed(shapes.table(_TARGET)), shapes.REQUIRED),
    "snat": (shapes.flag, True),
    "masq_all": (shapes.flag, False),
}


@dataclass(frozen=True)
class Target:
    """Where a port leads in one family: address, link towards it, conditions.

    The link is "" when the host had no route to the address.
    """

    address: str
    link: str
    conditions: str = ""

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True)
class Claim:
    """An attachment's hold on a port of the host.

    host_ip: "" for every address, "0.0.0.0" and "::" for every one of a family, or
    one address. netns and identity tell whether the holder lives.
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

    @classmethod
    def of_document(cls, document: object) -> Claim:
        """Return the claim that `document` says, or raise ValueError."""
        found = shapes.members(shapes.mapping(document), _CLAIM)
        targets = tuple(Target(**target) for target in found["targets"])
        return cls(**{**found, "targets": targets})

    def document(self) -> dict[str, Any]:
        """Return the claim as JSON values."""
        targets = [vars(target) for target in self.targets]
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
        return not self.identity or netns.lives(self.netns, self.identity)

    def is_as(self, wanted: Claim) -> bool:
        """Tell whether this is what `wanted` says, whose conditions are its own matter.

        The namespace may be unknown.
        """
        known = self.without_conditions()
        if not known.identity:
            known = replace(known, netns=wanted.netns, identity=wanted.identity)
        return known == wanted

    def has_any(self, addresses: list[IPAddress]) -> bool:
        """Tell whether the holder's network namespace has one of `addresses` now."""
        home = netns.open_living(self.netns)
        if home is None:
            return False
        with home:
            if home.identity != self.identity:
                return False
            with netns.entered(home):
                return any(route_get.holder(address) for address in addresses)


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


def granted(
    port: Port, present: list[Claim], attachment: Attachment, wanted: list[Claim]
) -> list[Claim]:
    """Return the claims on `port` when `attachment` has exactly `wanted` of it.

    Claims of a dead holder, or of one in the same network whose address has passed to
    this container, give way to `wanted`. Another attachment of the same container
    keeps its own, and the order among them stays. Raises code 999 naming a living
    holder.
    """
    kept: list[Claim] = []
    place = len(present)
    for holder in present:
        if holder.attachment == attachment:
            place = min(place, len(kept))
        elif _stays(port, holder, attachment, wanted):
            kept.append(holder)
    return kept[:place] + wanted + kept[place:]


def _stays(
    port: Port, holder: Claim, attachment: Attachment, wanted: list[Claim]
) -> bool:
    rivals = [claim for claim in wanted if claim.overlaps(holder)]
    if not rivals or holder.container_id == attachment.container_id:
        return True
    if not holder.lives() or _has_passed_on(holder, rivals):
        return False
    raise _held(port, rivals[0], holder)


def _has_passed_on(holder: Claim, rivals: list[Claim]) -> bool:
    """Tell whether the rivals have the holder's address of it in their network.

    Subnets may overlap, and a static address may be given twice: then the holder has
    its address still, and stays.
    """
    passed = [a for claim in rivals for a in claim.shared(holder)]
    same = all(claim.network == holder.network for claim in rivals)
    return bool(passed) and same and not holder.has_any(passed)


def _held(port: Port, wanted: Claim, holder: Claim) -> CNIError:
    where = f" of {wanted.host_ip}" if wanted.host_ip else ""
    owner = (
        f"container {holder.container_id} (interface {holder.ifname}, "
        f"network {holder.network})"
    )
    msg = f"publish {port}{where}: held by {owner}"
    details = f"its network namespace is {holder.netns}"
    both = ", ".join(map(str, wanted.shared(holder)))
    if both:
        details += f"; {both} is the address of both containers"
    return CNIError(Code.INTERNAL, msg, details)
