# SPDX-License-Identifier: Apache-2.0
"""Who needs what stands in the kernel once for all: a user for each attachment.

An address can be given to a new container before the old one's DEL arrives, and a
bridge has many: what they share goes with the last. Whoever calls holds the lock.
"""

from __future__ import annotations

from cni_common import marks, own_tables, state
from cni_common.attachment import shared
from plugins.firewall.protection import NAME
from plugins.firewall.rules import BRIDGED, ROUTED, elements

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextlib import AbstractContextManager

    from cni_common.kernel.own_table import Elements
    from cni_common.naming import Attachment

_ROOM = "firewall-holders"
_SETTLED = "firewall-settled"
# Where holders of entries are known, for the inet and for the bridge table.
INET, PORTS = "nftables", "ports"
TABLES = {INET: ROUTED, PORTS: BRIDGED}
_NAMES = [table.name for table in TABLES.values()]


def lock() -> AbstractContextManager[None]:
    """Hold the lock under which users and rules are read and changed.

    Records and users that were lost are there again.
    """
    return own_tables.lock(NAME, _NAMES, _read_back)


def _read_back() -> None:
    from plugins.firewall import recall  # noqa: PLC0415 - only after a loss

    recall.recall()


def recall() -> None:
    """Have lost records again; takes the lock only where there are such."""
    if any(map(own_tables.is_lost, _NAMES)):
        with lock():
            pass


def add(place: str, entries: Iterable[str], attachment: Attachment) -> None:
    """Know that `attachment` needs `entries` of `place`."""
    for entry in entries:
        shared.hold(f"{_ROOM}/{place}/{entry}", attachment.digest())
        if place in TABLES:
            own_tables.note(TABLES[place].name, entry, {}, elements([entry]))


def delete(place: str, entries: Iterable[str], attachment: Attachment) -> None:
    """Know that `attachment` needs `entries` of `place` no longer."""
    every = list(entries)
    if place in TABLES:
        # Before the users go, for a call that is killed is repeated.
        for entry in unneeded(place, every, attachment):
            own_tables.note(TABLES[place].name, entry, elements([entry]), {})
    for entry in every:
        shared.let_go(f"{_ROOM}/{place}/{entry}", attachment.digest())


def samples(place: str) -> Elements | None:
    """Return an element of each kind that somebody needs; see `own_tables`."""
    return own_tables.samples(
        TABLES[place].name,
        lambda entry: {} if is_unneeded(place, entry) else elements([entry]),
    )


def unneeded(
    place: str, entries: Iterable[str], attachment: Attachment
) -> tuple[str, ...]:
    """Return those of `entries` that nobody but `attachment` needs."""
    own = {attachment.digest()}
    return tuple(
        entry
        for entry in entries
        if not shared.is_used(f"{_ROOM}/{place}/{entry}", but=own)
    )


def any_of_others(place: str, attachment: Attachment | None) -> str:
    """Return some entry of `place` that not only `attachment` needs, or ""."""
    own = {attachment.digest()} if attachment else set()
    return state.any_name(
        state.path(_ROOM, place),
        lambda entry: shared.is_used(f"{_ROOM}/{place}/{entry}", but=own),
    )


def is_unneeded(place: str, entry: str) -> bool:
    """Tell whether nobody needs `entry`."""
    return not shared.is_used(f"{_ROOM}/{place}/{entry}")


def is_last(place: str, leaving: Collection[str]) -> bool:
    """Tell whether nobody needs anything of `place` but `leaving`; looks no further."""
    return not state.any_name(
        state.path(_ROOM, place),
        lambda entry: entry not in leaving and not is_unneeded(place, entry),
    )


def settled() -> set[str]:
    """Return the places where the rules of all attachments that need them are."""
    return set(state.names(state.path(_SETTLED)))


def settle(places: Iterable[str]) -> None:
    """Know that all rules are in `places`."""
    for place in places:
        marks.add(_SETTLED, place)


def unsettle(places: Iterable[str]) -> None:
    """Know that rules may be missing in `places`."""
    for place in places:
        marks.delete(_SETTLED, place)
