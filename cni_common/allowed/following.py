# SPDX-License-Identifier: Apache-2.0
"""The rules of all attachments follow the host, which may begin to drop after ADD.

Where everybody's rules are by now is marked, so that an ordinary ADD looks at a mark
and at no record (docs/decisions/0028). Whoever calls holds the lock.
"""

from __future__ import annotations

from cni_common.allowed import choice, nftables, users
from cni_common.allowed.rules import ZONES
from cni_common.frame.rollback import Gather

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.allowed.choice import Choice, Host
    from cni_common.allowed.users import Pair


def bring(chosen: Choice, own: Pair, *, again: bool) -> None:
    """Ensure the rules of `own` where they are `chosen` to be, and where they were.

    What keeps apart comes before what lets through. `again`: some may be there already.
    """
    attachment, part = own
    former = users.filters(attachment, part)
    filters = sorted({*former, *chosen.filters})
    again = again or bool(former)
    nftables.ensure(own, filtered=bool(filters), again=again)
    if filters:
        from cni_common.allowed import iptables  # noqa: PLC0415 - only on such hosts

        iptables.ensure(filters, [own], again=again)
        if again and not former:
            nftables.renew([own], own)
    if chosen.firewalld or users.held(ZONES, part, attachment):
        from cni_common.allowed import zone  # noqa: PLC0415 - only with firewalld

        zone.ensure(part, attachment)


def follow(there: Host, own: Pair | None = None) -> None:
    """Ensure the rules of all attachments wherever the host drops, but those of `own`.

    What a host that drops no longer had needed stays until DEL. Raises Code.INTERNAL
    after everything was tried; the next call tries again what failed.
    """
    settled = users.settled()
    if ZONES in settled and there.firewalld and _is_forgotten(own):
        settled.remove(ZONES)
    new = there.places() - settled
    unasked = {ZONES} if there.firewalld is None else set()
    users.unsettle(settled - there.places() - unasked)
    if new:
        _bring_all(there, own)
        users.settle(new)


def _is_forgotten(own: Pair | None) -> bool:
    from cni_common.allowed import zone  # noqa: PLC0415 - only with firewalld

    return zone.is_forgotten(own[0] if own else None)


def _bring_all(there: Host, own: Pair | None) -> None:
    """Ensure the rules of all but `own`, by as many commands as for one attachment."""
    from cni_common.allowed import iptables, zone  # noqa: PLC0415 - only on such hosts

    in_filters: dict[tuple[str, bool], list[Pair]] = {}
    in_zones: list[Pair] = []
    with Gather() as errors:
        for pair in users.recorded((own[0], None) if own else None):
            chosen = errors.attempt(choice.of, there, pair[1])
            # One without any rule is being made or removed just now.
            if chosen is not None and users.is_known(*pair):
                former = users.filters(*pair)
                for name in {*former, *chosen.filters}:
                    in_filters.setdefault((name, bool(former)), []).append(pair)
                if chosen.firewalld:
                    in_zones.append(pair)
        for (name, again), pairs in sorted(in_filters.items()):
            errors.attempt(iptables.ensure, [name], pairs, again=again)
        moved = {
            pair[0]: pair for (_, a), p in in_filters.items() if not a for pair in p
        }
        errors.attempt(nftables.renew, moved.values(), own)
        for attachment, part in in_zones:
            errors.attempt(zone.ensure, part, attachment)
