# SPDX-License-Identifier: Apache-2.0
"""The claims on disk and their elements in the kernel, changed together.

Whoever calls holds `lock`. The claims are written first; a mark beside them says
that the kernel has yet to follow, and whoever finds it rebuilds the table. So a
process may be killed at any moment.
"""

from __future__ import annotations

import os

from cni_common import marks, own_tables, shapes, state
from cni_common.attachment import shared
from cni_common.kernel.element_bytes import PROTOCOLS
from cni_common.spec.characters import is_port
from plugins.portmap import claims, conditions, elements, excluded, rules
from plugins.portmap.claims import Claim, Port
from plugins.portmap.rules import Scope

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from cni_common.kernel.own_table import Elements, OwnTable
    from cni_common.rollback import Gather

NAME = "portmap"
CLAIMS, SCOPES, UNFINISHED = "portmap-claims", "portmap-conditions", "portmap-changing"

Claims = dict[Port, list[Claim]]


def lock() -> AbstractContextManager[None]:
    """Hold the lock under which claims and elements are read and changed.

    Claims that were lost are on record again.
    """
    return own_tables.lock(NAME, [elements.TABLE], _read_back)


def _read_back() -> None:
    from plugins.portmap import recall  # noqa: PLC0415 - only after a loss

    recall.recall()


def load(ports: Iterable[Port]) -> Claims:
    """Return the claims on `ports`."""
    return {port: _claims_on(port) for port in ports}


def load_all(each: Gather | None = None) -> Claims:
    """Return the claims on all ports: for GC, and to make the table anew.

    With `each`, what cannot be read is an error of that, and passed over.
    """
    found = {}
    for name in state.names(state.path(CLAIMS)):
        try:
            port = port_of(name)
        except ValueError as error:
            state.distrust(state.path(CLAIMS), name, str(error))
            continue
        held = each(_claims_on, port) if each else _claims_on(port)
        if held is not None:
            found[port] = held
    return found


def file_name(port: Port) -> str:
    """Return the name by which a port is written down: tcp-8080."""
    return f"{port.protocol}-{port.number}"


def port_of(name: object) -> Port:
    """Return the port that is written down as `name`; raises ValueError for none."""
    protocol, _, number = shapes.text(name).partition("-")
    if protocol not in PROTOCOLS or not is_port(number):
        msg = "it is no port"
        raise ValueError(msg)
    return Port(protocol, int(number))


def apply(before: Claims, after: Claims, held: Iterable[Port] = ()) -> None:
    """Have `after` written down and in the kernel, where `before` was.

    Both have the same ports. The table is absent when no port is claimed at all,
    and is made anew, for everybody, when the kernel has not what `before` says: rules
    are looked for, and the elements of the ports in `held`, which do not change.
    """
    lost = {port for port in after if not before[port] and _is_written_down(port)}
    changed = {port for port in after if after[port] != before[port]} | lost
    # Whose elements those are, of which the claims are damaged, nobody knows any more.
    unfinished = bool(lost) or marks.exists(UNFINISHED, "change")
    kept = _elements_of(after, set(held) - changed)
    if not changed and not unfinished and not kept:
        return
    is_known = not unfinished and _is_any_claimed()
    relied = _relied(kept) if is_known else {rules.table(): None}
    marks.add(UNFINISHED, "change")
    declared, removed = write_down(before, after, changed)
    if not _is_any_claimed():
        own_tables.remove(elements.TABLE)
        excluded.forget()
    else:
        old, new = _elements_of(before, changed), _elements_of(after, changed)
        also = excluded.content() if held else ""
        moved = rules.table().change(old, new)
        own_tables.change(declared + moved + removed + also, relied, _rebuilt)
    marks.delete(UNFINISHED, "change")


def recall() -> None:
    """Have lost claims on record again; takes the lock only where there are such."""
    if own_tables.is_lost(elements.TABLE):
        with lock():
            pass


def restore() -> None:
    """Have the table of all claims, if somebody has removed rules of it.

    Unlike the others it takes the lock itself, and only where there are claims.
    """
    if shared.is_used(CLAIMS) or own_tables.is_lost(elements.TABLE):
        with lock():
            if _is_any_claimed():
                own_tables.change("", _relied({}), _rebuilt)


def rebuild() -> None:
    """Have the table made anew with all claims. Raises Code.INTERNAL."""
    own_tables.change("", {rules.table(): None}, _rebuilt)
    marks.delete(UNFINISHED, "change")


def is_declared(scope: Scope) -> bool:
    """Tell whether somebody is published under `scope` already."""
    return shared.is_used(f"{SCOPES}/{scope.id}")


def scopes(published: Iterable[Claim]) -> set[Scope]:
    """Return the conditions under which those claims are published."""
    return {
        Scope(
            conditions.scope(claim.network, target.family, target.conditions),
            target.family,
            target.conditions,
            claim.network,
        )
        for claim in published
        for target in claim.targets
        if target.conditions and target.family in claim.published
    }


def _is_any_claimed() -> bool:
    """Tell whether any port is claimed, without reading all names of many.

    Where none is, the halves of files that killed processes left are removed.
    """
    if shared.is_used(CLAIMS):
        return True
    state.delete(state.path(CLAIMS))
    return False


def _is_written_down(port: Port) -> bool:
    return os.path.lexists(state.path(CLAIMS, file_name(port)))


def _claims_on(port: Port) -> list[Claim]:
    directory, name = state.path(CLAIMS), file_name(port)
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
            port = port_of(name)
        except ValueError:
            return {}
        held = _claims_on(port)
        published.extend(held)
        return elements.of_claims(port, held)

    samples = own_tables.samples(elements.TABLE, elements_on)
    table = rules.table(sorted(scopes(published)))
    return {table: None if samples is None else samples | kept}


def _rebuilt() -> str:
    every = load_all()
    found = {scope for held in every.values() for scope in scopes(held)}
    records = {file_name(p): elements.of_claims(p, held) for p, held in every.items()}
    transaction = own_tables.rebuilt(rules.table(sorted(found)), records)
    return transaction + excluded.content()


def _elements_of(claimed: Claims, ports: Iterable[Port]) -> Elements:
    found: Elements = {}
    for port in ports:
        found |= elements.of_claims(port, claimed[port])
    return found


def write_down(before: Claims, after: Claims, changed: set[Port]) -> tuple[str, str]:
    """Write the claims; return the commands for scopes that appear and disappear."""
    declared, removed = "", ""
    for port in sorted(changed):
        name = file_name(port)
        old, new = scopes(before[port]), scopes(after[port])
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
