# SPDX-License-Identifier: Apache-2.0
"""Names of the ifb that limits what an attachment sends."""

from __future__ import annotations

from cni_common.spec.digests import sha512_hex

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment

_PREFIX = "bwp"
_LENGTH = 15  # IFNAMSIZ without the final NUL


def ifbs(owner: Attachment) -> tuple[str, str]:
    """Return the name to be taken, and the one to be taken if somebody has that.

    The first is the reference plugin's, whose DEL finds the ifb then. It does not
    tell a container's interfaces apart, so the second interface gets the second.
    """
    text = owner.network + owner.container_id
    inherited = sha512_hex(text)
    return _name(inherited), _name(owner.digest("ifb"))


def _name(digest: str) -> str:
    return (_PREFIX + digest)[:_LENGTH]
