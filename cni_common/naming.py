# SPDX-License-Identifier: Apache-2.0
"""Names and identities that are derived, so that no list is needed to find them."""

from __future__ import annotations

import os

from cni_common.spec.digests import sha256_hex, sha512_hex
from cni_common.spec.environment import IFNAME_MAX
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request

COMMENT_MAX = 128
BRIDGE_ALIAS = "cni bridge"
_DIGITS = 12  # as in Docker's names of bridges


@dataclass(frozen=True, order=True)
class Attachment:
    """What an attachment is keyed by: network, container ID, interface name.

    `netns` is the path of the namespace that it is in, where that is known.
    """

    network: str
    container_id: str
    ifname: str
    netns: str = field(default="", compare=False)

    @classmethod
    def of(cls, request: Request) -> Attachment:
        """Return the attachment that `request` is about."""
        who = (request.container_id, request.ifname)
        return cls(request.network, *who, request.netns)

    def digest(self, *more: str) -> str:
        """Return 64 hexadecimal digits that stand for the attachment."""
        text = "\0".join((self.network, self.container_id, self.ifname, *more))
        return sha256_hex(text)

    def __str__(self) -> str:
        return (
            f"container {self.container_id} interface {self.ifname} on {self.network}"
        )


def host_veth(attachment: Attachment, attempt: int = 0) -> str:
    """Return the name of the veth's host end: "veth" and eight hexadecimal digits.

    The same attachment gets the same name; `attempt` gives another one when the
    name is taken by somebody else.
    """
    return "veth" + attachment.digest("veth", *["again"] * attempt)[:8]


def bridge_of(network: str) -> str:
    """Return the name of a network's bridge: br- and the name, if that fits."""
    name = f"br-{network}"
    if len(name) <= IFNAME_MAX:
        return name
    return f"br-{sha256_hex(network)[:_DIGITS]}"


def passing(attachment: Attachment) -> str:
    """Return the name that a link of the attachment has until it has CNI_IFNAME."""
    return "cni" + attachment.digest("passing")[:12]


def ifbs(attachment: Attachment) -> tuple[str, str]:
    """Return the name of the attachment's ifb, and another if somebody has that.

    The first is the reference plugin's, whose DEL finds the ifb then. It does not
    tell a container's interfaces apart, so the second interface gets the second.
    """
    reference = sha512_hex(attachment.network + attachment.container_id)
    return _ifb(reference), _ifb(attachment.digest("ifb"))


def _ifb(digest: str) -> str:
    return f"bwp{digest}"[:IFNAME_MAX]


def random_veth() -> str:
    """Return a name for a veth that belongs to no attachment."""
    return "veth" + os.urandom(4).hex()


def random_mac() -> str:
    """Return a locally administered unicast MAC that nobody else will have."""
    octets = bytearray(os.urandom(6))
    octets[0] = (octets[0] & 0xFC) | 0x02
    return octets.hex(":")


def alias(attachment: Attachment) -> str:
    """Return the owner of a host veth as ip-link(8) shows it."""
    return f"cni {comment(attachment)}"


def is_ours(alias: str) -> bool:
    """Tell whether a link of the host with `alias` was made for containers."""
    return alias.startswith("cni ")


def comment(attachment: Attachment) -> str:
    """Return the owner as an nft comment: at most 127 bytes, without quotes.

    Two attachments never have the same: what does not fit, or is not printed, is
    told apart by a digest at the end.
    """
    text = f"{attachment.network} {attachment.container_id} {attachment.ifname}"
    printed = "".join(c for c in text if c.isprintable() and c not in '"\\')
    encoded = printed.encode()
    if printed == text and len(encoded) < COMMENT_MAX:
        return text
    tail = " " + attachment.digest("comment")[:16]
    return encoded[: COMMENT_MAX - 1 - len(tail)].decode("utf-8", "ignore") + tail


def of_comment(text: str) -> Attachment:
    """Return an attachment whose comment is `text`.

    It is the owner, or what stands for one whose names were too long.
    """
    network, _, rest = text.partition(" ")
    return Attachment(network, *rest.partition(" ")[::2])


def of_alias(text: str) -> Attachment:
    """Return an attachment whose alias is `text`, as `of_comment`."""
    return of_comment(text.removeprefix("cni "))


def recalled(attachment: Attachment) -> Attachment:
    """Return as whom the attachment is known after its record was lost."""
    return of_comment(comment(attachment))
