# SPDX-License-Identifier: Apache-2.0
"""ADD, CHECK and DEL of the whole network: through libcni, or by netavark."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

from benchmarks import conf
from benchmarks.node import NETAVARK, NETAVARK_PROGRAM, REFERENCE, Node, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.watch import Answer

ADD, CHECK, DEL = "ADD", "CHECK", "DEL"
_OPERATIONS = {ADD: "setup", DEL: "teardown"}
# Addresses that netavark is told lie behind those that host-local gives first.
_FIRST_ADDRESS = ipaddress.ip_address("10.88.240.1")


def verbs(node: Node) -> tuple[str, ...]:
    """Return what can be asked of the node's plugins; netavark has no CHECK."""
    return (ADD, DEL) if node.who == NETAVARK else (ADD, CHECK, DEL)


def may_fail(node: Node, verb: str) -> bool:
    """Tell whether a call may fail: CHECK of the reference's portmap 1.1.1.

    It asks for iptables rules of both families, whatever addresses there are.
    """
    return node.who == REFERENCE and verb == CHECK


def places(netns: Sequence[str]) -> Iterator[list[Place]]:
    """Yield places for new containers in `netns`, with new IDs each time."""
    number = 0
    while True:
        found = []
        for offset, path in enumerate(netns):
            address = str(_FIRST_ADDRESS + offset)
            container = f"c{number + offset}"
            found.append(Place(container, path, address, conf.FIRST_PORT + offset))
        number += len(netns)
        yield found


def call(node: Node, verb: str, at: Sequence[Place]) -> Answer:
    """Return what `verb` cost for the containers, all at once if there are several.

    Raises CallError when one fails.
    """
    if node.who != NETAVARK:
        listed = [
            {"Container": p.container, "Netns": p.netns, "Port": p.port} for p in at
        ]
        return node.ask(
            verb.lower(),
            may_fail=may_fail(node, verb),
            List=node.list,
            Path=str(node.directory),
            Attachments=listed,
        )
    (place,) = at
    document = conf.netavark(place.container, place.address, place.port)
    command = [NETAVARK_PROGRAM, _OPERATIONS[verb], place.netns]
    return node.execute(command, json.dumps(document))


def settle(node: Node) -> None:
    """Have one container on the node that stays, so that no ADD is the first one.

    Its address and port are beyond those of the measured ones.
    """
    (netns,) = node.spaces(1)
    port = conf.FIRST_PORT - 1
    call(node, ADD, [Place("first", netns, str(_FIRST_ADDRESS - 1), port)])
