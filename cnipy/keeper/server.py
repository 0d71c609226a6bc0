# SPDX-License-Identifier: Apache-2.0
"""The keeper of leases: who plugins ask, and what it does by itself."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager

from cni_common import own_socket
from cni_common.kernel import netns_identity
from cni_common.living_spaces import Space, Spaces
from cni_common.naming import Attachment
from cni_common.spec import environment, gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.model import parse
from cnipy.keeper import options
from cnipy.keeper.connection import Connection
from cnipy.keeper.keeping import Keeping
from plugins.dhcp import lease, rpc, wire
from plugins.dhcp.conf import DhcpConf
from plugins.dhcp.lease import Lease, State
from plugins.dhcp.terms import client_id

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable
    from typing import Any

_BACKLOG = 512
_PACE = 0.01  # seconds between two leases that are asked for anew
_SWEEP = 5.0  # seconds between two looks at the namespaces
_ORPHAN = 60.0  # seconds that an ADD has to come back after a keeper died


def serve(
    path: str,
    prefix: str,
    tell: Callable[[str], None],
    given: socket.socket | None = None,
) -> None:
    """Keep leases for those who call at the socket `path`, until a signal ends that.

    The socket is `given` if systemd passes one. Paths of namespaces are below `prefix`.
    Leases stay, and stay on record. Raises OSError and CNIError.
    """
    gc.enable()  # it lives longer than a call
    if given is not None:
        asyncio.run(Keeper(given.getsockname(), prefix, tell).run(given))
        return
    path = path or wire.SOCKET
    with own_socket.listen(path, _BACKLOG) as listener:
        bound = os.lstat(path)
        try:
            asyncio.run(Keeper(path, prefix, tell).run(listener))
        finally:
            own_socket.remove_if(path, bound)


class Keeper:
    """All leases of those who call at one socket."""

    def __init__(self, path: str, prefix: str, tell: Callable[[str], None]) -> None:
        self._path = path
        self._prefix = prefix.rstrip("/")
        self._tell = tell
        self._kept: dict[Attachment, Keeping] = {}
        self._turns: dict[Attachment, tuple[asyncio.Lock, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] | None = None

    async def run(self, listener: Any) -> None:
        """Serve until SIGTERM or SIGINT; raises what nobody foresaw."""
        loop = asyncio.get_running_loop()
        over = self._over = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        self._resume()
        self._begin(self._sweep())
        server = await asyncio.start_server(self._connected, sock=listener)
        try:
            await over
        finally:
            server.close()
            for keeping in self._kept.values():
                await keeping.let_go()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def _fail(self, failure: BaseException) -> None:
        """End, since something is not as it must be: the next keeper begins anew."""
        if self._over is not None and not self._over.done():
            self._over.set_exception(failure)

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, CNIError):
            self._tell(str(failure))
        elif failure is not None:
            self._fail(failure)

    def _keeping(self, owner: Attachment, held: Lease) -> Keeping:
        return Keeping(owner, held, self._tell, self._fail)

    def _resume(self) -> None:
        """Go on with what a former keeper has left."""
        going_on = []
        for owner, held in lease.of_keeper(self._path):
            keeping = self._kept[owner] = self._keeping(owner, held)
            match held.state:
                case State.ENDING:
                    self._begin(self._forget(owner))
                case State.ASKING:
                    self._begin(self._forget_orphan(owner))
                case _:
                    going_on.append(keeping)
        self._begin(self._go_on(going_on))

    async def _go_on(self, going_on: list[Keeping]) -> None:
        """Have leases confirmed one by one, while who calls has a turn in between.

        Where this process has little time they begin as fast as it can follow.
        """
        for keeping in going_on:
            if keeping.lease.state != State.ENDING:  # by a DEL that came meanwhile
                keeping.resume()
            await asyncio.sleep(_PACE)

    async def _forget(self, owner: Attachment) -> None:
        async with self._turn(owner):
            keeping = self._kept.get(owner)
            if keeping is not None:
                await self._end_of(keeping)

    async def _forget_orphan(self, owner: Attachment) -> None:
        await asyncio.sleep(_ORPHAN)
        keeping = self._kept.get(owner)
        if keeping is not None and keeping.lease.state == State.ASKING:
            await self._forget(owner)

    async def _sweep(self) -> None:
        """Give back what containers had that are gone."""
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                for owner in self._dead():
                    self._tell(f"{owner}: its network namespace is gone")
                    await self._forget(owner)
            except CNIError as error:
                self._tell(f"look for dead namespaces: {error}")

    def _dead(self) -> list[Attachment]:
        """Return the owners whose namespace nobody has any more.

        A name for it may be gone while a process lives in it, or be another mount
        namespace's; and its number may be that of another owner's by now.
        """
        gone = []
        living: set[str] = set()
        for owner, keeping in self._kept.items():
            held = keeping.lease
            if netns_identity.lives(held.netns, held.netns_identity):
                living.add(held.netns_identity)
            else:
                gone.append((owner, Space(held.netns, held.netns_identity)))
        if not gone:
            return []
        there = Spaces()
        return [
            owner
            for owner, space in gone
            if not there.found(space)
            and (space.identity in living or not there.holder(space.identity))
        ]

    @asynccontextmanager
    async def _turn(self, owner: Attachment) -> AsyncIterator[None]:
        """Have one call at a time at an attachment."""
        lock, waiting = self._turns.get(owner, (asyncio.Lock(), 0))
        self._turns[owner] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(owner)
            if waiting > 1:
                self._turns[owner] = (lock, waiting - 1)

    async def _connected(self, reader: Any, writer: Any) -> None:
        try:
            await Connection(reader, writer).serve(
                {
                    wire.ALLOCATE: (self._allocate, rpc.RESULT),
                    wire.CHECK: (self._check, rpc.RESULT),
                    wire.RELEASE: (self._release, wire.NOTHING),
                }
            )
        except (OSError, ValueError, EOFError) as error:
            self._tell(f"serve a call: {error!r}")

    async def _allocate(self, args: dict[str, Any]) -> dict[str, Any]:
        owner, conf = self._asked(args)
        identity = netns_identity.at(owner.netns)
        if not identity:
            msg = f"open network namespace {owner.netns!r}: no such file or directory"
            raise CNIError(Code.INVALID_NETNS, msg)
        async with self._turn(owner):
            keeping = self._kept.get(owner)
            if keeping and keeping.is_over(identity):
                await self._end_of(keeping)
                keeping = None
            if keeping is None:
                held = Lease(
                    self._path,
                    owner.netns,
                    identity,
                    client_id(owner),
                    conf.terms(args.get("Args", "")),
                )
                keeping = self._kept[owner] = self._keeping(owner, held)
            if keeping.lease.state == State.ASKING:
                await self._obtain(keeping, conf.ipam.timeout)
            return _result(keeping)

    async def _obtain(self, keeping: Keeping, seconds: float) -> None:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._end_of, keeping)
            await keeping.obtain(seconds)
            undo.pop_all()

    async def _end_of(self, keeping: Keeping) -> None:
        await keeping.end()
        self._kept.pop(keeping.owner, None)

    async def _check(self, args: dict[str, Any]) -> dict[str, Any]:
        owner, _ = self._asked(args)
        keeping = self._kept.get(owner)
        if keeping is None:
            msg = f"check lease: {owner} has none"
            raise CNIError(Code.INTERNAL, msg)
        return _result(keeping)

    async def _release(self, args: dict[str, Any]) -> dict[str, Any]:
        owner, _ = self._owner(args)
        # Who hangs up meant it nevertheless.
        await asyncio.shield(self._begin(self._forget(owner)))
        return {}

    def _asked(self, args: dict[str, Any]) -> tuple[Attachment, DhcpConf]:
        owner, document = self._owner(args)
        return owner, parse(DhcpConf, document, "network configuration")

    def _owner(self, args: dict[str, Any]) -> tuple[Attachment, dict[str, Any]]:
        """Return whom a call is about, and the configuration; raises CNIError."""
        document = gojson.load_object(args.get("StdinData", b""))
        network = environment.validate_network_name(gojson.string(document, "name"))
        container, ifname = args.get("ContainerID", ""), args.get("IfName", "")
        environment.validate_container_id(container)
        environment.validate_ifname(ifname)
        path = f"{self._prefix}{args.get('Netns', '')}"
        return Attachment(network, container, ifname, path), document


def _result(keeping: Keeping) -> dict[str, Any]:
    """Return what the lease gives; raises Code.INTERNAL for one that is lost."""
    held = keeping.lease
    assert held.grant is not None
    if held.state != State.HELD:
        msg = f"check lease of {held.grant.address.ip}: {held.cause}"
        raise CNIError(Code.INTERNAL, msg)
    found = options.result(held.grant.address, held.grant.options, held.terms.metric)
    return rpc.of_result(found)
