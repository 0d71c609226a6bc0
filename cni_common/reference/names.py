# SPDX-License-Identifier: Apache-2.0
"""Names that the reference plugins give to what they make for an attachment."""

from __future__ import annotations

from cni_common.spec.characters import ALPHANUMERIC, LETTERS, consists_of
from cni_common.spec.digests import sha512_hex

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment

CHAIN_LENGTH = 28
HASH_LENGTH = 16
_NAME_MAX = 128  # of nft


def chain(prefix: str, attachment: Attachment) -> str:
    """Return an iptables chain's name: the interface is no part of it."""
    digest = sha512_hex(attachment.network + attachment.container_id)
    return (prefix + digest)[:CHAIN_LENGTH]


def masquerade_comment(attachment: Attachment) -> str:
    """Return what the comment of each nft masquerading rule begins with."""
    interface = f"{attachment.ifname}:{attachment.container_id}"
    hashed = (
        sha512_hex(text)[:HASH_LENGTH] for text in (attachment.network, interface)
    )
    return "-".join(hashed)


def spoof_chains(attachment: Attachment) -> tuple[str, ...]:
    """Return the chains of macspoofchk, the one that is jumped to first.

    None if nft's language cannot carry the name: an interface may be called ";".
    """
    first = f"cni-br-iface-{attachment.container_id}-{attachment.ifname}"
    names = (first, f"{first}-mac")
    return names if all(_is_nft_name(name) for name in names) else ()


def _is_nft_name(name: str) -> bool:
    fitting = consists_of(name, f"{ALPHANUMERIC}_.-") and len(name) <= _NAME_MAX
    return fitting and name[0] in LETTERS
