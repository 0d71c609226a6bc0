# SPDX-License-Identifier: Apache-2.0
"""Users that were lost, known again by the records and by what is in iptables."""

from __future__ import annotations

from cni_common import naming
from cni_common.allowed import iptables, users
from cni_common.allowed.rules import INET, PORTS, entries, routed

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.allowed.users import Own


def recount(own: Own) -> None:
    """Know again where the rules of every recorded attachment are, and of `own`.

    Of that no other part, which may be removed already. Whoever calls holds the lock.
    Raises Code.INTERNAL.
    """
    used = filter(iptables.is_in_use, users.FILTERS)
    owners = {name: iptables.owners(name) for name in used}
    for attachment, part in users.recorded(own):
        owner = naming.comment(attachment)
        variants = {name[:-1] for name, found in owners.items() if owner in found}
        # Links are kept apart in both versions of IP, whatever addresses there are.
        filters = [
            name
            for name, found in owners.items()
            if owner in found or (part.guarded and name[:-1] in variants)
        ]
        for name in (PORTS, *filters):
            users.add(name, entries(name, part), attachment)
        users.add(INET, routed(part, filtered=bool(filters)), attachment)
