# SPDX-License-Identifier: Apache-2.0
"""Where rules of attachments are: who needs which entry of which place.

A place is one of our tables of nftables, a filter table of iptables, or firewalld; what
an attachment needs there are entries, some of which many share. An address can be given
to a new container before the old one's DEL arrives, and a bridge has many: what they
share goes with the last. Whoever calls holds the lock.
"""

from __future__ import annotations

from cni_common import marks, own_tables, state
from cni_common.allowed.rules import (
    BRIDGED,
    INET,
    PORTS,
    ROUTED,
    ZONES,
    elements,
    entries,
    routed,
)
from cni_common.attachment import part as parts
from cni_common.attachment import record, shared
from cni_common.naming import Attachment

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from cni_common.kernel.own_table import Elements
    from cni_common.parts.allowed import Allowed

    Pair = tuple[Attachment, Allowed]
    # What holds of one attachment, whatever is recorded: nothing, where it is removed.
    Own = tuple[Attachment, Allowed | None] | None

NAME = "firewall"
_ROOM = "firewall-holders"
_SETTLED = "firewall-settled"
DECLARED = "firewall-declared"
FILTERS = ("legacy4", "legacy6", "nft4", "nft6")
_PLACES = frozenset({INET, PORTS, ZONES, *FILTERS})
TABLES = {INET: ROUTED, PORTS: BRIDGED}
_NAMES = [table.name for table in TABLES.values()]


def lock() -> AbstractContextManager[None]:
    """Hold the lock under which users and rules are read and changed.

    Records and users that were lost are there again.
    """
    return own_tables.lock(NAME, _NAMES, _read_back)


def _read_back() -> None:
    from cni_common.allowed import recall  # noqa: PLC0415 - only after a loss

    recall.recall()


def recall() -> None:
    """Restore lost records; takes the lock only where there are such."""
    if own_tables.is_lost(*_NAMES):
        with lock():
            pass


def recorded(own: Own = None) -> Iterator[Pair]:
    """Yield what is allowed to each attachment: by its record, but for `own`.

    And what is declared of networks.
    """
    for attachment, found in record.of_plugin(NAME):
        if own is None or attachment != own[0]:
            for each in found.possible:
                yield attachment, each  # type: ignore[misc]  # there is no other kind
    for declarer_of, declared in _declared():
        if own is None or declarer_of != own[0]:
            yield declarer_of, declared
    if own is not None and own[1] is not None:
        yield own[0], own[1]


def declarer(network: str) -> Attachment:
    """Return by whom the entries of a declared network are held: no container."""
    return Attachment(network, "", "")


def declared_as(network: str) -> Allowed | None:
    """Return as what `network` was declared; None if it was not, or that is damaged."""
    document = state.read(state.path(DECLARED), network)
    try:
        return None if document is None else parts.read(document)  # type: ignore[return-value]  # there is no other kind
    except ValueError as error:
        state.distrust(state.path(DECLARED), network, str(error))
        return None


def _declared() -> Iterator[Pair]:
    for network in state.names(state.path(DECLARED)):
        found = declared_as(network)
        if found is not None:
            yield declarer(network), found


def places() -> list[str]:
    """Return the places where anybody needs anything, sorted by their names."""
    used = (p for p, table in TABLES.items() if own_tables.is_remembered(table.name))
    return sorted(_PLACES & {*state.names(state.path(_ROOM)), *used})


def filters(
    attachment: Attachment, part: Allowed, used: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return the filter tables of iptables where the attachment has rules.

    `used` are the places, where they are known.
    """
    known = [p for p in (places() if used is None else used) if p in FILTERS]
    return tuple(place for place in known if held(place, part, attachment))


def are_lost(attachment: Attachment, part: Allowed) -> bool:
    """Tell whether not all are known that a whole ADD has added."""
    own = filters(attachment, part)
    if own and not {a.version for a in part.addresses} <= {int(n[-1]) for n in own}:
        return True
    if own and part.guarded:
        from cni_common.allowed import iptables  # noqa: PLC0415 - on such hosts

        both = {f"{name[:-1]}{version}" for name in own for version in (4, 6)}
        if any(map(iptables.is_in_use, both - set(places()))):
            return True
    needed = {place: entries(place, part) for place in (PORTS, *own)}
    needed[INET] = routed(part, filtered=bool(own))
    user = attachment.digest()
    return not all(
        shared.holds(_thing(place, entry), user)
        for place, every in needed.items()
        for entry in every
    )


def is_known(attachment: Attachment, part: Allowed) -> bool:
    """Tell whether the attachment has a rule anywhere."""
    return any(held(place, part, attachment) for place in places())


def held(place: str, part: Allowed, attachment: Attachment) -> list[str]:
    """Return those of the entries of `place` that the attachment is known to need."""
    user = attachment.digest()
    return [e for e in entries(place, part) if shared.holds(_thing(place, e), user)]


def add(place: str, needed: Iterable[str], attachment: Attachment) -> None:
    """Know that `attachment` needs the entries `needed` of `place`."""
    for entry in needed:
        shared.hold(_thing(place, entry), attachment.digest())
        if place in TABLES:
            own_tables.note(TABLES[place].name, entry, {}, elements([entry]))


def delete(place: str, needed: Iterable[str], attachment: Attachment) -> None:
    """Know that `attachment` needs the entries `needed` of `place` no longer."""
    every = list(needed)
    if place in TABLES:
        # Before the users go, for a call that is killed is repeated.
        for entry in unneeded(place, every, attachment):
            own_tables.note(TABLES[place].name, entry, elements([entry]), {})
    for entry in every:
        shared.let_go(_thing(place, entry), attachment.digest())


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
        entry for entry in entries if not shared.is_used(_thing(place, entry), but=own)
    )


def any_of_others(place: str, attachment: Attachment | None) -> str:
    """Return some entry of `place` that not only `attachment` needs, or ""."""
    own = {attachment.digest()} if attachment else set()
    return state.any_name(
        state.path(_ROOM, place),
        lambda entry: shared.is_used(_thing(place, entry), but=own),
    )


def is_unneeded(place: str, entry: str) -> bool:
    """Tell whether nobody needs `entry`."""
    return not shared.is_used(_thing(place, entry))


def is_last(place: str, leaving: Collection[str]) -> bool:
    """Tell whether nobody needs anything of `place` but `leaving`; looks no further."""
    return not state.any_name(
        state.path(_ROOM, place),
        lambda entry: entry not in leaving and not is_unneeded(place, entry),
    )


def _thing(place: str, entry: str) -> str:
    return f"{_ROOM}/{place}/{entry}"


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
