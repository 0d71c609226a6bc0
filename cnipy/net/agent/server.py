# SPDX-License-Identifier: Apache-2.0
"""The agent of a node: a member of each network, and who asks it on its socket."""

from __future__ import annotations

import asyncio
import gc
import os
import signal

from cni_common import own_socket
from cni_common.pool.asking import SOCKET
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass
from cnipy.net import cache
from cnipy.net.agent import notice
from cnipy.net.agent.calls import answer
from cnipy.net.agent.member import Member
from cnipy.net.agent.naming import Answering
from cnipy.net.agent.turns import Turns

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Any

    from cnipy.net.conf import NetFile

_BACKLOG = 1024
_LOOK = 60.0  # seconds between two looks at which networks were joined
_PATIENCE = 10.0  # seconds that somebody waits for a block, at most
_CONNECTIONS = 512  # at once; a process of systemd's has 1024 descriptors
_WORK = 0.8  # the part of it after which the answer is that there is none


@dataclass(frozen=True)
class Node:
    """What an agent is given: its configuration, how often it polls, how to join, whom
    to tell.

    seconds: between two polls; join: have this node in a network, with its list; raises
    CNIError.
    """

    conf: NetFile
    seconds: float
    join: Callable[[str], object]
    tell: Callable[[str], None]


def serve(node: Node, env: Mapping[str, str]) -> None:
    """Be the node's agent until a signal ends that; kernel and files stay as they are.

    Raises OSError where the socket is another agent's.
    """
    gc.enable()  # it lives longer than a call
    with own_socket.listen(SOCKET, _BACKLOG) as listener:
        bound = os.lstat(SOCKET)
        try:
            asyncio.run(Agent(node).run(listener, env))
        finally:
            own_socket.remove_if(SOCKET, bound)


class Agent:
    """The members of all networks of the node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._answering = Answering(node.conf, node.tell)
        self._turns: dict[str, Turns] = {}
        self._faults: dict[str, CNIError] = {}
        self._connections = 0
        self._served = {
            "block": self._block,
            "status": self._status,
            "reload": self._reload,
        }
        self._reloading = asyncio.Lock()
        self._over: asyncio.Future[None] | None = None

    async def run(self, listener: socket.socket, env: Mapping[str, str]) -> None:
        """Serve until SIGTERM or SIGINT; raises what nobody foresaw."""
        loop = asyncio.get_running_loop()
        over = self._over = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        await self._look()
        server = await asyncio.start_unix_server(
            self._connected, sock=listener, backlog=_BACKLOG
        )
        looking = asyncio.gather(self._look_again(), self._answering.serve())
        looking.add_done_callback(self._ended)
        notice.give(env, notice.READY)
        try:
            await over
        finally:
            notice.give(env, notice.STOPPING)
            server.close()
            looking.cancel()
            await asyncio.gather(
                looking,
                *(turns.end() for turns in self._turns.values()),
                return_exceptions=True,
            )

    def _ended(self, done: asyncio.Future[Any]) -> None:
        failure = None if done.cancelled() else done.exception()
        if failure is not None:
            self._fail(failure)

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _fail(self, failure: BaseException) -> None:
        """End, since something is not as it must be: the next agent begins anew."""
        if self._over is not None and not self._over.done():
            self._over.set_exception(failure)

    async def _look_again(self) -> None:
        while True:
            await self._join_named()
            await asyncio.sleep(_LOOK)
            await self._look()

    async def _look(self) -> None:
        """Ensure a member of each network that the node has joined, and no others."""
        async with self._reloading:
            joined = cache.joined()
            for name, turns in [*self._turns.items()]:
                # One that was left and joined again is another.
                if name not in joined or turns.member.is_over:
                    del self._turns[name]
                    await turns.end()
            for name in joined:
                if name not in self._turns:
                    await self._begin(name)
            self._answering.learn(each.member for each in self._turns.values())

    async def _join_named(self) -> None:
        """Join the networks of net.toml, once who is in others is served."""
        missing = {*self._node.conf.networks} - {*cache.joined()}
        for name in sorted(missing):
            await self._join(name)
        if missing:
            await self._look()

    async def _join(self, name: str) -> None:
        """Join a network that net.toml names; one that cannot be is tried again."""
        try:
            await asyncio.to_thread(self._node.join, name)
        except CNIError as error:
            self._tell_fault(name, error)
        else:
            self._faults.pop(name, None)

    async def _begin(self, name: str) -> None:
        member = Member(name, self._node.conf, self._node.tell)
        turns = Turns(member, self._node.seconds, self._node.tell, self._fail)
        try:
            await turns.once(member.settle)
        except CNIError as error:
            if member.is_over:
                self._tell_fault(name, error)
                await turns.end()
                return
            # It is tried again, and the member's own fault as long as it lasts.
            self._node.tell(f"network {name}: {error}")
        self._faults.pop(name, None)
        self._turns[name] = turns
        turns.begin()

    def _tell_fault(self, name: str, error: CNIError) -> None:
        if str(self._faults.get(name, "")) != str(error):
            self._node.tell(f"network {name}: {error}")
        self._faults[name] = error

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(self._ended)
        if self._connections >= _CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            await answer(reader, writer, self._served)
        except OSError as error:
            self._node.tell(f"answer a call: {error}")
        finally:
            self._connections -= 1

    async def _block(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = str(asked.get("network"))
        turns = self._turns.get(name)
        if turns is None:
            msg = f"claim a block of network {name!r:.80}: this node has not joined it"
            raise CNIError(Code.TRY_AGAIN_LATER, msg, f"`cnipy net join {name:.80}`")
        version, seen = asked.get("family"), asked.get("held", 0)
        if type(version) is not int or version not in {4, 6} or type(seen) is not int:
            msg = "claim a block: family is 4 or 6, and held a number"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        patience = _patience(asked.get("seconds"))
        try:
            async with asyncio.timeout(patience):
                blocks = await turns.asked.more(version, seen)
        except TimeoutError as error:
            msg = f"claim a block of network {name}: not within {patience:.3g} s"
            raise CNIError(Code.TRY_AGAIN_LATER, msg, turns.member.hindrance) from error
        return {"blocks": [str(each) for each in blocks]}

    async def _status(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        states = {name: each.member.state() for name, each in self._turns.items()}
        faults = {name: str(error) for name, error in self._faults.items()}
        return {"pid": os.getpid(), "networks": states, "faults": faults}

    async def _reload(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        await self._look()
        return {"networks": sorted(self._turns)}


def _patience(seconds: object) -> float:
    """Return how long an answer can be worked at for whoever waits so long for it."""
    told = seconds if isinstance(seconds, int | float) and seconds > 0 else _PATIENCE
    return min(told, _PATIENCE) * _WORK
