# SPDX-License-Identifier: Apache-2.0
"""The rules of all attachments follow the host, which may begin to drop after ADD.

Where everybody's rules are by now is marked, so that an ordinary ADD looks at a mark
and at no record (docs/decisions/0028). Whoever calls holds the lock.
"""

from __future__ import annotations

from cni_common.rollback import Gather
from cni_common.spec.values import replace
from plugins.firewall import choice, holders, nftables, protection, zone

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.naming import Attachment
    from plugins.firewall.choice import Host
    from plugins.firewall.protection import Protection


def follow(host: Host, but: Attachment | None = None) -> None:
    """Have the rules of all attachments wherever `host` drops, those of `but` apart.

    What a host that drops no longer had needed stays until DEL. Raises code 999 after
    everything was tried; the next call tries again what failed.
    """
    settled = holders.settled()
    if choice.FIREWALLD in settled and host.firewalld and zone.is_forgotten(but):
        settled.remove(choice.FIREWALLD)
    new = host.places() - settled
    unasked = {choice.FIREWALLD} if host.firewalld is None else set()
    holders.unsettle(settled - host.places() - unasked)
    if new:
        _bring(host, but)
        holders.settle(new)


def _bring(host: Host, but: Attachment | None) -> None:
    from plugins.firewall import iptables  # noqa: PLC0415 - only on such hosts

    with Gather() as each:
        moved, present = [], []
        for attachment, had in _recorded(but):
            needed = each(wanted, host, had)
            if needed == had:
                present.append((attachment, had))
            elif needed is not None:
                each(protection.write, attachment, needed)
                moved.append((attachment, had, needed))
        admitted = [(attachment, needed) for attachment, _, needed in moved]
        each(iptables.admit_all, admitted, again=False)
        each(iptables.admit_all, present, again=True)
        each(nftables.renew, moved)
        for attachment, needed in [*admitted, *present]:
            each(zone.admit, needed, attachment)


def _recorded(but: Attachment | None) -> Iterator[tuple[Attachment, Protection]]:
    for attachment, had in protection.recorded():
        if attachment != but:
            yield attachment, had


def wanted(host: Host, had: Protection) -> Protection:
    """Return `had` with what its attachment needs on `host` besides."""
    versions = {address.version for address in had.addresses}
    chosen = choice.choose(host, had.backend, had.policy, versions)
    return replace(
        had,
        filters=tuple(sorted({*had.filters, *chosen.filters})),
        zone=had.zone or (had.home_zone if chosen.firewalld else ""),
    )
