# SPDX-License-Identifier: Apache-2.0
"""Guarded networks that reach over several nodes, known also where they have nobody.

Two guarded networks are kept apart by a node that knows of both. One may have its
containers here and the other there; so who joins a network declares it, by its name.
"""

from __future__ import annotations

from cni_common import state
from cni_common.allowed import choice, following, places, users

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.parts.allowed import Allowed


def ensure(network: str, wanted: Allowed) -> None:
    """Ensure that `network` is kept apart as `wanted`, which is of no container.

    Afterwards its rules are there, even if somebody flushed them since. Raises
    Code.INTERNAL.
    """
    owner = users.declarer(network)
    there = choice.look(wanted.backend)
    chosen = choice.of(there, wanted)
    with users.lock():
        former = users.declared_as(network)
        if former is not None and former != wanted:
            places.remove(former, owner)
        state.write(state.ensure_directory(users.DECLARED), network, wanted.document())
        following.bring(chosen, (owner, wanted), again=True)
        following.follow(there, (owner, wanted))


def remove(network: str) -> None:
    """Keep `network` apart for its containers alone; absence is success.

    Raises Code.INTERNAL.
    """
    with users.lock():
        former = users.declared_as(network)
        if former is not None:
            places.remove(former, users.declarer(network))
        state.delete(state.path(users.DECLARED), network)
        state.remove_if_empty(state.path(users.DECLARED))


def networks() -> list[str]:
    """Return the names of the networks that are declared."""
    return state.names(state.path(users.DECLARED))
