# SPDX-License-Identifier: Apache-2.0
"""One lease, from when it is asked for until it is given back (RFC 2131, 4.4.5)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

from cni_common.kernel import netns, packets
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy.keeper import arp, datagram, message
from cnipy.keeper.datagram import NOWHERE
from cnipy.keeper.exchange import Exchange, RefusedError
from cnipy.keeper.message import Kind, Question
from plugins.dhcp import codes, lease
from plugins.dhcp.lease import FOREVER, Lease, State

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from ipaddress import IPv4Address
    from typing import Any

    from cni_common.kernel.netns import Namespace
    from cni_common.kernel.packets import Wire
    from cni_common.naming import Attachment
    from plugins.dhcp.lease import Grant

_ANSWER_WAIT = 5.0  # seconds for an answer about an address that is held
_ASK_AGAIN = 60.0  # seconds between two attempts to renew (RFC 2131, 4.4.5)
_ASK_AGAIN_LEAST = 2.0  # of a lease so short that it would end before
_SLEEP_MAX = 60.0  # seconds, for the loop's clock stands still while the host sleeps
_RETRY_FIRST, _RETRY_LAST = 5.0, 300.0  # seconds between attempts to get it back


class Keeping:
    """The lease of `owner`, written down as it is at any time.

    `tell` is for the administrator; `failed` is called with what nobody foresaw.
    """

    def __init__(
        self,
        owner: Attachment,
        held: Lease,
        tell: Callable[[str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.owner = owner
        self.lease = held
        self._tell = tell
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def is_over(self, identity: str) -> bool:
        """Tell whether it was another namespace's, or is being given back."""
        held = self.lease
        return held.state == State.ENDING or held.netns_identity != identity

    def note(self, **changes: object) -> None:
        """Change the lease, on record first."""
        changed = replace(self.lease, **changes)  # type: ignore[arg-type]  # fields of Lease
        lease.write(self.owner, changed)
        self.lease = changed

    async def obtain(self, seconds: float) -> None:
        """Get a lease within so many seconds, and keep it from then on.

        The one that a former keeper asked for, if that did not live to hear of it.
        Raises CNIError.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        self.note()
        wanted = self.lease.grant.address.ip if self.lease.grant else NOWHERE
        async with self._speaking() as said:
            grant = await said.obtain(deadline, wanted, self._chosen, self._holder)
        self._hold(grant)
        self.keep()

    def _chosen(self, grant: Grant | None) -> None:
        self.note(grant=grant)

    async def _holder(self, address: IPv4Address) -> str:
        """Return the MAC of who has `address` on the network, or nothing."""
        if not self.lease.terms.probe:
            return ""
        async with self._opened(packets.opened_for_arp) as wire:
            return await arp.holder_of(wire, address)

    def _hold(self, grant: Grant) -> None:
        self.note(state=State.HELD, grant=grant, cause="")

    def keep(self) -> None:
        """Renew the lease from now on."""
        self._begin(self._keep())

    def resume(self) -> None:
        """Go on with what a former keeper held."""
        self._begin(self._resume())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failed(failure)

    async def let_go(self) -> None:
        """Do not renew it any longer."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def end(self) -> None:
        """Give the address back, and forget the lease."""
        await self.let_go()
        if self.lease.grant is not None:
            self.note(state=State.ENDING)
            try:
                async with self._speaking() as said:
                    said.release()
            except CNIError:
                self._release_from_afar()
        lease.delete(self.owner)

    def _release_from_afar(self) -> None:
        """Tell the server by the host's own routes: the container's are gone."""
        grant = self.lease.grant
        if grant is None or not self.lease.mac:
            return
        given = {
            message.SERVER_ID: grant.server.packed,
            codes.CLIENT_ID: self.lease.terms.provided.get(
                codes.CLIENT_ID, self.lease.client_id
            ),
        }
        mac = bytes.fromhex(self.lease.mac.replace(":", ""))
        question = Question(Kind.RELEASE, 0, mac, given, grant.address.ip)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            with suppress(OSError):  # somebody has the port: servers do not mind
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sender.bind(("", datagram.CLIENT))
            try:
                sender.sendto(question.packed(), (str(grant.server), datagram.SERVER))
            except OSError as error:
                cause = f"{error.strerror}".lower()
                self._tell(f"release {grant.address.ip} of {self.owner}: {cause}")

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[Exchange]:
        """Speak with servers in the block; the link's MAC is on record then."""
        async with self._opened(_to_client) as wire:
            if self.lease.mac != wire.mac.hex(":"):
                self.note(mac=wire.mac.hex(":"))
            yield Exchange(wire, self.lease)

    @asynccontextmanager
    async def _opened(
        self, opened: Callable[[Namespace, str], Wire]
    ) -> AsyncIterator[Wire]:
        """Open a socket on the link for the block."""
        with netns.open_path(self.lease.netns) as namespace:
            if namespace.identity != self.lease.netns_identity:
                msg = f"enter network namespace {namespace.path!r}: it is another one"
                raise CNIError(Code.INVALID_NETNS, msg)
            wire = opened(namespace, self.owner.ifname)
        try:
            yield wire
        finally:
            # The kernel waits for all processors (synchronize_net): 10 ms and more.
            asyncio.get_running_loop().run_in_executor(None, wire.close)

    async def _resume(self) -> None:
        if self.lease.state == State.HELD:
            try:
                await self._attempt(_reclaimed)
            except CNIError as error:  # of the record, as below
                self._tell(f"keep lease of {self.owner}: {error}")
        await self._keep()

    async def _keep(self) -> None:
        while True:
            try:
                while self.lease.grant is not None:
                    await self._next(self.lease.grant)
            except CNIError as error:  # of the record: a full disk, perhaps
                self._tell(f"keep lease of {self.owner}: {error}")
                await asyncio.sleep(_RETRY_FIRST)

    async def _next(self, grant: Grant) -> None:
        """Wait for what is to be done next, and do it."""
        if self.lease.state == State.LOST:
            await self._get_back()
        elif lease.now() < (due := grant.obtained + grant.renewal):
            await _sleep_until(due)
        elif grant.lasts == FOREVER:
            await asyncio.sleep(_SLEEP_MAX)
        elif lease.now() < grant.ends:
            await self._extend(grant)
        else:
            self._lose("it ended, and no server answered")

    async def _extend(self, grant: Grant) -> None:
        """Ask for more time once, and wait for a while if that was in vain."""
        rebinding = grant.obtained + grant.rebinding
        by_anybody = lease.now() >= rebinding
        until = grant.ends if by_anybody else rebinding
        extended = _extended_by_anybody if by_anybody else _extended
        asked = lease.now()
        if not await self._attempt(extended) and self.lease.state == State.HELD:
            again = max((until - asked) / 2, _ASK_AGAIN)
            if asked + again >= until:
                again = max((until - asked) / 2, _ASK_AGAIN_LEAST)
            await _sleep_until(min(asked + again, until))

    async def _attempt(
        self, asked: Callable[[Exchange], Awaitable[Grant | None]]
    ) -> bool:
        """Tell whether a server has confirmed the lease; it is lost if one refuses."""
        try:
            async with self._speaking() as said:
                grant = await asked(said)
                if grant is not None:
                    self._hold(grant)
                return grant is not None
        except RefusedError as refusal:
            self._lose(str(refusal))
        except CNIError as error:  # of the link, which may come back
            self._tell(f"renew lease of {self.owner}: {error}")
        return False

    def _lose(self, cause: str) -> None:
        assert self.lease.grant is not None
        self._tell(f"lost {self.lease.grant.address.ip} of {self.owner}: {cause}")
        self.note(state=State.LOST, cause=cause)

    async def _get_back(self) -> None:
        """Ask for the very address until a server gives it: the container has it."""
        assert self.lease.grant is not None
        wanted, wait = self.lease.grant.address.ip, _RETRY_FIRST
        while True:
            try:
                async with self._speaking() as said:
                    grant = await said.regain(_ANSWER_WAIT, wanted)
                    self._hold(grant)
            except CNIError as error:
                if str(error) != self.lease.cause:
                    self.note(cause=str(error))
            else:
                self._tell(f"got {wanted} of {self.owner} back")
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY_LAST)


def _to_client(namespace: Namespace, link: str) -> Wire:
    return packets.opened(namespace, link, datagram.CLIENT)


async def _reclaimed(said: Exchange) -> Grant | None:
    return await said.reclaim(_ANSWER_WAIT)


async def _extended(said: Exchange) -> Grant | None:
    return await said.extend(_ANSWER_WAIT, by_anybody=False)


async def _extended_by_anybody(said: Exchange) -> Grant | None:
    return await said.extend(_ANSWER_WAIT, by_anybody=True)


async def _sleep_until(due: float) -> None:
    while (left := due - lease.now()) > 0:  # noqa: ASYNC110 - of another clock
        await asyncio.sleep(min(left, _SLEEP_MAX))
