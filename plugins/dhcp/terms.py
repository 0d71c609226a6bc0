# SPDX-License-Identifier: Apache-2.0
"""What the attachment's configuration has a server told and asked for."""

from __future__ import annotations

from cni_common.spec.digests import sha256_hex
from cni_common.spec.values import dataclass, field

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment

_IDENTIFIER_MAX = 254  # bytes behind the type
_DIGEST = 32


@dataclass(frozen=True)
class Terms:
    """Options `requested` and `provided`; `metric` is that of the routes, 0 for none.

    With `broadcast` servers answer to everybody on the link; with `probe` it is asked
    by ARP whether an address is somebody's already.
    """

    requested: tuple[int, ...] = ()
    provided: dict[int, bytes] = field(default_factory=dict)
    broadcast: bool = False
    metric: int = 0
    probe: bool = True


def client_id(attachment: Attachment) -> bytes:
    """Return by what a server knows an attachment, as the reference has it.

    Long names are told apart by a digest, where the reference cuts them off.
    """
    parts = (attachment.container_id, attachment.network, attachment.ifname)
    text = "/".join(parts).encode("utf-8", "surrogateescape")
    if len(text) > _IDENTIFIER_MAX:
        digest = sha256_hex("/".join(parts))[:_DIGEST].encode()
        text = text[: _IDENTIFIER_MAX - _DIGEST] + digest
    return b"\0" + text
