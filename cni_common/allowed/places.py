# SPDX-License-Identifier: Apache-2.0
"""The removal of an attachment's rules, wherever they are."""

from __future__ import annotations

from cni_common.allowed import nftables, users
from cni_common.allowed.rules import ZONES
from cni_common.frame.rollback import Gather

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.naming import Attachment
    from cni_common.parts.allowed import Allowed


def remove(part: Allowed, attachment: Attachment, but: Collection[str] = ()) -> None:
    """Remove the rules that nobody else needs from all places `but` some.

    Each is tried whatever the others did. Raises Code.INTERNAL.
    """
    with Gather() as errors:
        # What lets through has the earlier names, and goes before the rest.
        for place in users.places():
            if place not in but:
                errors.attempt(_remove_from, place, part, attachment)


def _remove_from(place: str, part: Allowed, attachment: Attachment) -> None:
    if place in users.TABLES:
        nftables.remove(place, part, attachment)
    elif place == ZONES:
        from cni_common.allowed import zone  # noqa: PLC0415 - only with firewalld

        zone.remove(part, attachment)
    else:
        from cni_common.allowed import iptables  # noqa: PLC0415 - on such hosts

        iptables.remove(place, part, attachment)
