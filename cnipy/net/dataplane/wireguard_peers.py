# SPDX-License-Identifier: Apache-2.0
"""Peers of WireGuard: from those that there are to those that are wanted.

The kernel can give a peer further addresses and move them from one to another without
a gap, but takes single ones from nobody. So those that nobody is to have move to a
peer that is made for it, and goes with them.
"""

from __future__ import annotations

import os
import time

from cni_common.kernel.wireguards import KEY_SIZE, Peer, Wireguard
from cnipy.net.dataplane import words

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.fields import IPNetwork

# After a handshake a key is good for as long (Reject-After-Time of WireGuard).
_PROVEN = 180  # seconds


def missing(wanted: Mapping[bytes, Peer], there: Mapping[bytes, Peer]) -> list[Peer]:
    """Return those that are to be added, or told where they are or what they may."""
    found = []
    for key, peer in wanted.items():
        before = there.get(key)
        if before is None or peer.allowed - before.allowed or _moved(before, peer):
            found.append(peer)
    return found


def surplus(wanted: Mapping[bytes, Peer], there: Mapping[bytes, Peer]) -> list[str]:
    """Return what is to go, in words: peers, and what some are allowed."""
    gone = [f"peer {words.key(key)}" for key in there if key not in wanted]
    return gone + [
        f"allowed {each}" for each in sorted(map(str, _stray(wanted, there)))
    ]


def add(
    device: str, wanted: Mapping[bytes, Peer], there: Mapping[bytes, Peer]
) -> list[str]:
    """Have the device know all that are wanted; return what was done.

    Raises Code.INTERNAL.
    """
    found = missing(wanted, there)
    if found:
        with Wireguard() as wireguard:
            wireguard.add_peers(device, found)
    return [f"add {words.peer(each)}" for each in found]


def delete(
    device: str, wanted: Mapping[bytes, Peer], there: Mapping[bytes, Peer]
) -> list[str]:
    """Have the device know nobody else; return what was done. Raises Code.INTERNAL."""
    gone = [key for key in there if key not in wanted]
    stray = _stray(wanted, there)
    if not gone and not stray:
        return []
    with Wireguard() as wireguard:
        if stray:
            nobody = Peer(os.urandom(KEY_SIZE), None, 0, stray)
            wireguard.add_peers(device, [nobody])
            gone.append(nobody.key)
        wireguard.delete_peers(device, gone)
    return [f"delete {each}" for each in surplus(wanted, there)]


def _stray(
    wanted: Mapping[bytes, Peer], there: Mapping[bytes, Peer]
) -> frozenset[IPNetwork]:
    """Return what those who stay are allowed, and nobody is to be."""
    every = {each for peer in wanted.values() for each in peer.allowed}
    stay = (peer for key, peer in there.items() if key in wanted)
    return frozenset(each for peer in stay for each in peer.allowed - every)


def _moved(before: Peer, peer: Peer) -> bool:
    """Tell whether a peer is elsewhere than its record says, and has not shown that it
    is there: with a handshake, it may speak from another of its addresses.
    """
    if (before.endpoint, before.port) == (peer.endpoint, peer.port):
        return False
    return not 0 <= time.time() - before.handshake <= _PROVEN
