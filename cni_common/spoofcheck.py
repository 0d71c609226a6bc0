# SPDX-License-Identifier: Apache-2.0
"""A port may send from its own MAC only: table `bridge cnipy_spoofcheck`.

Two rules, whatever the number of ports: frames whose link and source address are in
the set `bound` pass, other frames of a link in the set `guarded` are dropped. The
members are written down in /run/cni/cnipy/spoofcheck/<link>; an element says whose.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cni_common import naming, own_tables, shapes, state
from cni_common.kernel import nft
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.shapes import Table

TABLE = "bridge cnipy_spoofcheck"
_ROOM = "spoofcheck"
_MEMBER: Table = {
    "mac": (shapes.mac, shapes.REQUIRED),
    "owner": (shapes.text, ""),
}

_DECLARATION = f"""\
add table {TABLE}
add set {TABLE} guarded {{ type ifname; }}
add set {TABLE} bound {{ type ifname . ether_addr; }}
add chain {TABLE} prerouting {{ type filter hook prerouting priority -300; }}
flush chain {TABLE} prerouting
flush set {TABLE} guarded
flush set {TABLE} bound
add rule {TABLE} prerouting iifname . ether saddr @bound accept
add rule {TABLE} prerouting iifname @guarded drop
"""


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock; what the elements tell is on record again if it was lost."""
    with state.lock(_ROOM):
        if own_tables.is_lost(TABLE):
            _recall(nft.list_json(f"list table {TABLE}"))
            own_tables.remember(TABLE)
        yield


def _recall(listed: list[dict[str, Any]]) -> None:
    directory = state.ensure_directory(_ROOM)
    for element in own_tables.elements(listed, "bound"):
        link, mac = element.key
        if state.read(directory, link) is None:
            state.write(directory, link, {"mac": mac, "owner": element.comment})


def ensure(link: str, mac: str, owner: Attachment) -> None:
    """Have frames that come in by `link` dropped unless they are from `mac`.

    Raises code 999 and guards nothing when nft refuses. What the kernel may have taken
    nevertheless is for `release` to take back.
    """
    with _lock():
        directory = state.ensure_directory(_ROOM)
        whose = naming.comment(owner)
        state.write(directory, link, {"mac": mac, "owner": whose})
        try:
            added = _elements("add", link, mac, whose)
            declared = {TABLE: _DECLARATION}
            own_tables.change(added, declared, lambda: _rebuilt() + added)
        except CNIError as error:
            if nft.nothing_done(error):
                state.delete(directory, link)
            raise


def rebind(link: str, mac: str, owner: Attachment) -> None:
    """Have `link`, if it is guarded for `owner`, bound to `mac` and to no other.

    Raises code 999 and leaves it bound as it was when nft refuses.
    """
    directory = state.path(_ROOM)
    if not os.path.lexists(os.path.join(directory, link)):
        return
    with _lock():
        member = _member(link)
        whose = naming.comment(owner)
        if member is None or member["owner"] != whose or member["mac"] == mac:
            return
        state.write(directory, link, {**member, "mac": mac})
        old = member["mac"]
        try:
            own_tables.change(
                # Adding first makes it harmless that somebody has deleted them already.
                _elements("add", link, old)
                + _elements("delete", link, old)
                + _elements("add", link, mac, whose),
                {TABLE: _DECLARATION},
                _rebuilt,
            )
        except CNIError as error:
            if nft.nothing_done(error):
                state.write(directory, link, member)
            raise


def release(link: str) -> None:
    """Have nothing guard `link` any more."""
    with _lock():
        directory = state.path(_ROOM)
        # The rules go first, because a call that failed or was killed is repeated.
        if link in state.names(directory):
            _release(link, (_member(link) or {}).get("mac", ""))
        state.delete(directory, link)  # or the draft of a killed ADD


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Have no port guarded for an attachment of `network` that is none of `valid`."""
    kept = {naming.comment(Attachment(network, *identity)) for identity in valid}
    directory = state.path(_ROOM)
    with _lock():
        members = {link: _member(link) for link in state.names(directory)}
    for link, member in members.items():
        owner = member["owner"] if member else ""
        if owner.startswith(f"{network} ") and owner not in kept:
            release(link)


def check(link: str, mac: str) -> None:
    """Raise code 999 unless `link` is guarded and bound to `mac`."""
    try:
        listed = nft.list_json(f"list table {TABLE}")
    except nft.RefusedError:
        listed = []
    found = {
        name: {element.key for element in own_tables.elements(listed, name)}
        for name in ("guarded", "bound")
    }
    guarded, bound = (link,) in found["guarded"], (link, mac) in found["bound"]
    rules = sum("rule" in item for item in listed)
    if not (guarded and bound and rules == _DECLARATION.count("add rule")):
        msg = f"check spoof protection of {link}: a rule or an element is missing"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def _elements(verb: str, link: str, mac: str, owner: str = "") -> str:
    name = nft.quote(link)
    said = f" comment {nft.quote(owner)}" if owner else ""
    return (
        f"{verb} element {TABLE} guarded {{ {name} }}\n"
        f"{verb} element {TABLE} bound {{ {name} . {mac}{said} }}\n"
    )


def _release(link: str, mac: str) -> None:
    """Have no element of `link`; where its MAC is lost, by making the others anew."""
    directory = state.path(_ROOM)
    if not state.any_name(directory, lambda name: name != link and _member(name)):
        own_tables.remove(TABLE)
    elif mac:
        _delete(link, mac)
    else:
        nft.run(_rebuilt())


def _delete(link: str, mac: str) -> None:
    try:
        # Adding first makes it harmless that somebody has deleted them already.
        nft.run(_elements("add", link, mac) + _elements("delete", link, mac))
    except nft.RefusedError as refused:
        if not refused.is_missing:
            raise


def _rebuilt() -> str:
    """Return the transaction that makes the table anew with all that is recorded."""
    directory = state.path(_ROOM)
    transaction = _DECLARATION
    for link in state.names(directory):
        member = _member(link)
        if member:
            transaction += _elements("add", link, member["mac"], member["owner"])
    return transaction


def _member(link: str) -> dict[str, Any] | None:
    """Return MAC and owner that are written down for `link`, if anything is."""
    return state.read_table(state.path(_ROOM), link, _MEMBER)
