# SPDX-License-Identifier: Apache-2.0
"""Who uses what several attachments share; without any user it is nobody's.

A thing is a directory below the state's root, a user is a file in it: the digest of an
attachment, or a port. Most are empty; some say more about the user. What else lies in
such a directory is not taken for a user. The count is kept under the lock of what it
stands for, such as a table of nftables: whoever calls holds that.

A record that has its own elements of a table (`known_macs`, the claims of ports) is not
a user in this sense, nor is a mark that is about no user (`marks`).
"""

from __future__ import annotations

from cni_common import marks, state
from cni_common.spec.characters import HEX, LOWER, consists_of, is_port

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

_DIGEST_LENGTH = 64  # SHA-256


def hold(thing: str, user: str, said: object = None) -> None:
    """Write down that `user` uses `thing`, and what is `said` about it, as JSON."""
    if said is None:
        marks.add(thing, user)
    else:
        state.write(state.ensure_directory(thing), user, said)


def let_go(thing: str, user: str) -> bool:
    """Remove `user` from the users of `thing`; tell whether it was the last one.

    Without users no empty directory is left, nor what a killed call began to write.
    """
    was_user = holds(thing, user)
    state.delete(state.path(thing), user)
    if is_used(thing):
        return False
    above = thing.split("/")
    while above and state.remove_if_empty(state.path(*above)):
        above.pop()
    return was_user


def holds(thing: str, user: str) -> bool:
    """Tell whether `user` uses `thing`."""
    return marks.exists(thing, user)


def users(thing: str) -> list[str]:
    """Return all users of `thing`; there may be a thousand."""
    return list(filter(_is_user, state.names(state.path(thing))))


def is_used(thing: str, but: Collection[str] = ()) -> bool:
    """Tell whether anybody uses `thing`, those in `but` apart; looks no further."""
    found = state.any_name(
        state.path(thing), lambda name: name not in but and _is_user(name)
    )
    return bool(found)


def is_last(thing: str, leaving: Collection[str]) -> bool:
    """Tell whether `thing` is used, and by none but those in `leaving`."""
    return not is_used(thing, leaving) and is_used(thing)


def _is_user(name: str) -> bool:
    """Tell whether it is the digest of an attachment, or a port: tcp-8080."""
    protocol, _, number = name.partition("-")
    if number:
        return consists_of(protocol, LOWER) and is_port(number)
    return len(name) == _DIGEST_LENGTH and consists_of(name, HEX)
