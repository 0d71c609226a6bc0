# SPDX-License-Identifier: Apache-2.0
"""Which address of each range set an attachment gets."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import islice

from cni_common.leases.owner import owner_of
from cni_common.leases.store import PROBES
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.frame.rollback import Rollback
    from cni_common.leases.owner import Owner
    from cni_common.leases.ranges import RangeSet
    from cni_common.leases.store import Store
    from cni_common.spec.fields import IPAddress

# Leases that a message names.
_SHOWN = 5


def assign(
    sets: Sequence[RangeSet], requested: Sequence[IPAddress]
) -> list[IPAddress | None]:
    """Return the requested address for each set, None where any will do.

    Raises Code.INVALID_CONFIG for an address that must not be allocated or that no set
    is left for: each set gives one address.
    """
    rest = list(requested)
    wanted: list[IPAddress | None] = []
    for number, range_set in enumerate(sets):
        address = next((item for item in rest if item in range_set), None)
        if address is not None:
            rest.remove(address)
            refusal = range_set.refusal(address)
            if refusal:
                raise _failure(Code.INVALID_CONFIG, number, refusal)
        wanted.append(address)
    if rest:
        listed = " ".join(str(item) for item in rest)
        msg = f"allocate addresses: failed to allocate all requested IPs: {listed}"
        given = "; ".join(str(range_set) for range_set in sets)
        hint = f"each of the ranges gives one address: {given}"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return wanted


def lease_all(
    store: Store,
    sets: Sequence[RangeSet],
    wanted: Sequence[IPAddress | None],
    owner: Owner,
    undo: Rollback,
) -> list[IPAddress]:
    """Return one address of each set, leased to `owner` and safe on disk.

    What was leased is released by `undo`. Raises Code.TRY_AGAIN_LATER when an address
    or a set has nothing free, and Code.INTERNAL when the owner holds an address of a
    set already.
    """
    refuse_duplicates(store, sets, owner)
    leased = []
    for number, (range_set, address) in enumerate(zip(sets, wanted, strict=True)):
        found = _lease(store, number, range_set, address, owner)
        undo(store.release, str(found))
        leased.append(found)
    for number, address in enumerate(leased):
        undo(store.set_last_reserved, number, store.last_reserved(number))
        store.set_last_reserved(number, address)
    store.sync()
    return leased


def refuse_duplicates(store: Store, sets: Sequence[RangeSet], owner: Owner) -> None:
    """Raise Code.INTERNAL if `owner` has a lease in one of the sets.

    A lease of an earlier boot is released instead: the runtime starts the same
    container again and there was nobody to call DEL.
    """
    names = sorted((*store.owned(owner), *store.owned(owner.legacy)))
    for number, range_set in enumerate(sets):
        for name in names:
            if ip_address(name) not in range_set:
                continue
            if not store.is_dead(name):
                cause = f"{name} has been allocated to {owner.container_id}"
                cause += ", duplicate allocation is not allowed"
                raise _failure(Code.INTERNAL, number, cause)
            store.release(name)


def _lease(
    store: Store,
    number: int,
    range_set: RangeSet,
    requested: IPAddress | None,
    owner: Owner,
) -> IPAddress:
    last = store.last_reserved(number)
    wanted = [] if requested is None else [requested]
    found = store.lease(lambda: wanted or range_set.candidates(last), owner)
    if found is None:
        raise _taken(store, number, range_set, requested)
    return found


def _taken(
    store: Store | None, number: int, range_set: RangeSet, requested: IPAddress | None
) -> CNIError:
    cause = f"no IP addresses available in range set: {range_set}"
    details = _holders(store, range_set) if store else ""
    if store and requested is not None:
        cause = f"requested IP address {requested} is not available in range set"
        cause, details = f"{cause} {range_set}", _leased_to(store, requested)
    return _failure(Code.TRY_AGAIN_LATER, number, cause, details)


def _leased_to(store: Store, address: IPAddress) -> str:
    return f"it is leased {_holder(store, str(address))}"


def next_free(
    store: Store | None,
    number: int,
    range_set: RangeSet,
    requested: IPAddress | None,
) -> IPAddress:
    """Return what range set `number` would lease next; without a store all is free.

    Raises Code.TRY_AGAIN_LATER as `lease_all` does.
    """
    last = store.last_reserved(number) if store else None
    taken = store.names() if store else set()
    every = [requested] if requested else range_set.candidates(last)
    dead: IPAddress | None = None
    for address in every:
        if str(address) not in taken:
            return address
        if dead is None and store and store.is_dead(str(address)):
            dead = address
    if dead is None:
        raise _taken(store, number, range_set, requested)
    return dead


def _holders(store: Store, range_set: RangeSet) -> str:
    """Return who has addresses of the set, a few of them, and what frees some."""
    held = sorted(a for a in map(_address, store.names()) if a and a in range_set)
    few = ", ".join(f"{a} {_holder(store, str(a))}" for a in held[:_SHOWN])
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    return f"leased: {few}{more}; `cnipy gc` frees those of containers that are gone"


def _holder(store: Store, name: str) -> str:
    owner = owner_of(store.content(name) or b"")
    return f"to {owner.container_id} {owner.ifname}".rstrip() if owner else "to nobody"


def _address(name: str) -> IPAddress | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def is_exhausted(store: Store, number: int, range_set: RangeSet) -> bool:
    """Tell whether an ADD would find neither a free nor a dead address in the set."""
    return not has_free(store, number, range_set, 1)


def has_free(store: Store, number: int, range_set: RangeSet, count: int) -> bool:
    """Tell whether ADDs would find so many addresses in the set, dead ones included.

    Where they are, at a cost that does not grow with the leases.
    """
    last, free = store.last_reserved(number), 0
    for address in islice(range_set.candidates(last), PROBES):
        free += not store.is_taken(str(address))
        if free >= count:
            return True
    taken = store.names()
    if range_set.size - len(taken) >= count:
        return True
    names = [str(address) for address in range_set.candidates(last)]
    found = (name for name in names if name not in taken or store.is_dead(name))
    return len(list(islice(found, count))) == count


def _failure(code: Code, number: int, cause: str, details: str = "") -> CNIError:
    msg = f"allocate address for range set {number}: {cause}"
    return CNIError(code, msg, details)
