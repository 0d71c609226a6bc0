# SPDX-License-Identifier: Apache-2.0
"""The claims on disk and their elements in the kernel, changed together.

Whoever calls holds `lock`. The claims are written first; a mark beside them says
that the kernel has yet to follow, and whoever finds it rebuilds the table. So a
process may be killed at any moment.
"""

from __future__ import annotations

import os

from cni_common import marks, own_tables, state
from cni_common.attachment import shared
from cni_common.published import claims, elements, rules
from cni_common.published.claims import Claim, Port

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from cni_common.frame.rollback import Gather
    from cni_common.kernel.nft_sets import Sets
    from cni_common.kernel.own_table import Elements, Lack, OwnTable
    from cni_common.naming import Attachment
    from cni_common.published.rules import Scope

NAME = "portmap"
CLAIMS, SCOPES, UNFINISHED = "portmap-claims", "portmap-conditions", "portmap-changing"
EXCLUDED = "portmap-excluded"

Claims = dict[Port, list[Claim]]


def lock() -> AbstractContextManager[None]:
    """Hold the lock under which claims and elements are read and changed.

    Claims that were lost are on record again.
    """
    return own_tables.lock(NAME, [elements.TABLE], _read_back)


def _excluded() -> Any:
    from cni_common.published import excluded  # noqa: PLC0415 - not for DEL

    return excluded


def _read_back() -> None:
    from cni_common.published import recall  # noqa: PLC0415 - only after a loss

    recall.recall()


def load(ports: Iterable[Port]) -> Claims:
    """Return the claims on `ports`."""
    return {port: _claims_on(port) for port in ports}


def load_all(errors: Gather | None = None) -> Claims:
    """Return the claims on all ports: for GC, and to make the table anew.

    With `errors`, what cannot be read is an error of that, and passed over.
    """
    found = {}
    for name in state.names(state.path(CLAIMS)):
        try:
            port = Port.named(name)
        except ValueError as error:
            state.distrust(state.path(CLAIMS), name, str(error))
            continue
        held = errors.attempt(_claims_on, port) if errors else _claims_on(port)
        if held is not None:
            found[port] = held
    return found


def apply(before: Claims, after: Claims, held: Iterable[Port] = ()) -> None:
    """Write down `after` and bring it into the kernel, where `before` was.

    Both have the same ports. The table is absent when no port is claimed at all,
    and is made anew, for everybody, when the kernel has not what `before` says: rules
    are looked for, and the elements of the ports in `held`, which do not change.
    """
    lost = {port for port in after if not before[port] and _is_written_down(port)}
    changed = {port for port in after if after[port] != before[port]} | lost
    # Whose elements those are, of which the claims are damaged, nobody knows any more;
    # nor who else is published under conditions whose users were lost.
    unfinished = bool(lost) or marks.exists(UNFINISHED, "change")
    unfinished = unfinished or _is_forgotten(before, changed)
    kept = _elements_of(after, set(held) - changed)
    if not changed and not unfinished and not kept:
        return
    is_known = not unfinished and _is_any_claimed()
    relied = _relied(kept) if is_known else {rules.table(): None}
    marks.add(UNFINISHED, "change")
    declared, removed = write_down(before, after, changed)
    if not _is_any_claimed():
        _remove_table()
        if unfinished:
            _forget_scopes(set())
    else:
        old, new = _elements_of(before, changed), _elements_of(after, changed)
        also = _excluded().content() if held else ""
        moved = rules.table().change(old, new)
        own_tables.change(declared + moved + removed + also, relied, _rebuilt)
    marks.delete(UNFINISHED, "change")


def own(claims: Claims, owner: Attachment) -> Claims:
    """Return those of `claims` that are of `owner`."""
    return {
        port: [claim for claim in held if claim.attachment == owner]
        for port, held in claims.items()
    }


def without(claims: Claims, owner: Attachment) -> Claims:
    """Return those of `claims` that are of others."""
    return {
        port: [claim for claim in held if claim.attachment != owner]
        for port, held in claims.items()
    }


def holders(errors: Gather) -> dict[Attachment, set[Port]]:
    """Return who claims which ports; what cannot be read is an error of `errors`."""
    found: dict[Attachment, set[Port]] = {}
    for port, held in load_all(errors).items():
        for claim in held:
            found.setdefault(claim.attachment, set()).add(port)
    return found


def lacking(claims: Claims, owner: str, sets: Sets | None = None) -> Iterator[Lack]:
    """Yield the elements of `claims` with that comment that are missing, by `sets`."""
    every = (claim for held in claims.values() for claim in held)
    wanted = _elements_of(claims, claims)
    own = {key: found for key, found in wanted.items() if found.comment == owner}
    yield from rules.table(sorted(rules.scopes(every))).lacking_elements(own, sets)


def recall_claims() -> None:
    """Read back what the table tells of claims, of which some are lost."""
    if own_tables.exists(elements.TABLE):
        _read_back()


def recall() -> None:
    """Read lost claims back; takes the lock only where there are such."""
    if own_tables.is_lost(elements.TABLE):
        with lock():
            pass


def restore() -> None:
    """Ensure the table of all claims, if somebody has removed rules of it.

    Unlike the others it takes the lock itself, and only where there are claims.
    """
    if shared.is_used(CLAIMS) or own_tables.is_lost(elements.TABLE):
        with lock():
            if _is_any_claimed():
                own_tables.change("", _relied({}), _rebuilt)


def remove_unused() -> None:
    """Ensure that there is no table where no port is claimed; takes the lock itself."""
    if not shared.is_used(CLAIMS) and own_tables.exists(elements.TABLE):
        with lock():
            if not _is_any_claimed():
                _remove_table()


def rebuild() -> None:
    """Make the table anew with all claims. Raises Code.INTERNAL."""
    own_tables.change("", {rules.table(): None}, _rebuilt)
    marks.delete(UNFINISHED, "change")


def is_declared(scope: Scope) -> bool:
    """Tell whether somebody is published under `scope` already."""
    return shared.is_used(f"{SCOPES}/{scope.id}")


def _is_forgotten(held: Claims, ports: Iterable[Port]) -> bool:
    """Tell whether one of `ports` is not noted as a user of its conditions."""
    for port in ports:
        for scope in rules.scopes(held[port]):
            if not shared.holds(f"{SCOPES}/{scope.id}", port.name):
                return True
    return False


def _remove_table() -> None:
    own_tables.remove(elements.TABLE)
    if state.names(state.path(EXCLUDED)):
        _excluded().forget()


def _is_any_claimed() -> bool:
    """Tell whether any port is claimed, without reading all names of many.

    Where none is, the halves of files that killed processes left are removed.
    """
    if shared.is_used(CLAIMS):
        return True
    state.delete(state.path(CLAIMS))
    return False


def _is_written_down(port: Port) -> bool:
    return os.path.lexists(state.path(CLAIMS, port.name))


def _claims_on(port: Port) -> list[Claim]:
    directory, name = state.path(CLAIMS), port.name
    document = state.read(directory, name)
    if document is None:
        return []
    found, cause = claims.read(document)
    if cause:
        state.distrust(directory, name, cause)
    return found


def _relied(kept: Elements) -> dict[OwnTable, Elements | None]:
    """Return the table as it is to be, and of its elements what is looked for.

    Where there are conditions there are elements; so the samples tell of all of them.
    """
    published: list[Claim] = []

    def elements_on(name: str) -> Elements:
        try:
            port = Port.named(name)
        except ValueError:
            return {}
        held = _claims_on(port)
        published.extend(held)
        return elements.of_claims(port, held)

    samples = own_tables.samples(elements.TABLE, elements_on)
    table = rules.table(sorted(rules.scopes(published)))
    return {table: None if samples is None else samples | kept}


def _rebuilt() -> str:
    every = load_all()
    used = {(s, port.name) for port, held in every.items() for s in rules.scopes(held)}
    for scope, name in used:  # it is known again, had it been lost
        shared.hold(f"{SCOPES}/{scope.id}", name)
    _forget_scopes({(scope.id, name) for scope, name in used})
    found = {scope for scope, _ in used}
    records = {p.name: elements.of_claims(p, held) for p, held in every.items()}
    transaction = own_tables.rebuilt(rules.table(sorted(found)), records)
    return f"{transaction}{_excluded().content()}"


def _forget_scopes(used: set[tuple[str, str]]) -> None:
    """Know of no users of scopes but those: a killed change may have noted others."""
    for scope_id in state.names(state.path(SCOPES)):
        thing = f"{SCOPES}/{scope_id}"
        for name in shared.users(thing):
            if (scope_id, name) not in used:
                shared.let_go(thing, name)


def _elements_of(claimed: Claims, ports: Iterable[Port]) -> Elements:
    found: Elements = {}
    for port in ports:
        found |= elements.of_claims(port, claimed[port])
    return found


def write_down(before: Claims, after: Claims, changed: set[Port]) -> tuple[str, str]:
    """Write the claims; return the commands for scopes that appear and disappear."""
    declared, removed = "", ""
    for port in sorted(changed):
        name = port.name
        old, new = rules.scopes(before[port]), rules.scopes(after[port])
        for scope in sorted(new - old):
            if not is_declared(scope):
                declared += rules.conditioned(scope).declaration
            shared.hold(f"{SCOPES}/{scope.id}", name)
        for scope in sorted(old - new):
            if shared.let_go(f"{SCOPES}/{scope.id}", name):
                removed += rules.conditioned(scope).removal_of_parts()
        if after[port]:
            documents = [claim.document() for claim in after[port]]
            state.write(state.ensure_directory(CLAIMS), name, documents)
        had, has = (elements.of_claims(port, c[port]) for c in (before, after))
        own_tables.note(elements.TABLE, name, had, has)
        if not after[port]:
            state.delete(state.path(CLAIMS), name)
    return declared, removed
