# SPDX-License-Identifier: Apache-2.0
"""An agent of a node that gives one block after the other, and does nothing else.

What the plugin sees of the real one: the file of blocks and the socket.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from contextlib import contextmanager
from ipaddress import ip_network
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cni_common.pool import asking, held

if TYPE_CHECKING:
    from collections.abc import Iterator


class Agent(socketserver.ThreadingUnixStreamServer):
    """Gives the blocks of `pools`, each with its length, from the front.

    `refusal` is its answer if there is one, `asked` what it was asked.
    """

    request_queue_size = 64

    def __init__(self, network: str, pools: dict[str, int]) -> None:
        os.makedirs(os.path.dirname(asking.SOCKET), exist_ok=True)
        Path(asking.SOCKET).unlink(missing_ok=True)
        super().__init__(asking.SOCKET, _Line)
        self.network = network
        self.pools = {ip_network(pool): length for pool, length in pools.items()}
        self.refusal: Any = None
        self.asked: list[dict[str, Any]] = []
        self.turn = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Pass over a caller that did not wait."""

    def claim(self, version: int, seen: int) -> list[str]:
        """Hold one more block than were seen; return those of the family."""
        with self.turn:
            found = held.read(self.network) or held.Held(tuple(self.pools))
            own = [each for each in found.blocks if each.version == version]
            if len(own) <= seen:
                pool = next(each for each in self.pools if each.version == version)
                rest = pool.subnets(new_prefix=self.pools[pool])
                own += islice(rest, len(own), len(own) + 1)
                others = [each for each in found.blocks if each.version != version]
                blocks = (*others, *own)
                held.write(self.network, held.Held(found.pools, blocks, found.unusable))
            return [str(each) for each in own]


class _Line(socketserver.StreamRequestHandler):
    server: Agent

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        self.server.asked.append(asked)
        answer = self.server.refusal
        if answer is None:
            blocks = self.server.claim(asked["family"], asked["held"])
            answer = json.dumps({"blocks": blocks})
        self.wfile.write(f"{answer}\n".encode())


@contextmanager
def agent(network: str, pools: dict[str, int]) -> Iterator[Agent]:
    """Have an agent listen, which holds no block of `network` yet."""
    with Agent(network, pools) as server:
        held.write(network, held.Held(tuple(server.pools)))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            Path(asking.SOCKET).unlink(missing_ok=True)
