# SPDX-License-Identifier: Apache-2.0
"""What client and servers say to each other about one lease (RFC 2131, 4.4)."""

from __future__ import annotations

import asyncio

from cni_common.kernel import packets
from cni_common.spec.errors import CNIError, Code, refused
from cnipy.keeper import datagram, message, offers
from cnipy.keeper.datagram import EVERYBODY, NOWHERE
from cnipy.keeper.hearing import heard, pauses
from cnipy.keeper.message import Kind, Question
from cnipy.keeper.offers import Said
from plugins.dhcp import codes, lease

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from ipaddress import IPv4Address

    from cni_common.kernel.packets import Wire
    from cnipy.keeper.message import Answer
    from plugins.dhcp.lease import Grant, Lease


_SIZE_MAX = 1472  # bytes of a message that an Ethernet carries in one piece
# What comes in for an address that is not there yet is taken for the master's.
_SHARING_A_MAC = ("ipvlan",)
_PAUSE = 0.5  # seconds before it is all asked anew
_BETTER_WAIT = 1.0  # seconds that a doubtful answer waits for a better one
_TROUBLES_MAX = 4
_LATE_MAX = 64  # answers that are looked at when time is over
_DECLINES_MAX = 3  # the server sets each of them aside, so not all of its addresses
_TIMES = 4  # that a server is asked for what it has offered


class RefusedError(Exception):
    """A server says that the address is not to be used (any longer)."""


class Exchange:
    """One conversation about `held`, on a link of its namespace.

    `troubles` are what servers said that was of no use, the last at the end.
    """

    def __init__(self, wire: Wire, held: Lease) -> None:
        self.troubles: list[str] = []
        self._wire = wire
        self._lease = held
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def obtain(
        self,
        deadline: float,
        wanted: IPv4Address,
        chosen: Callable[[Grant | None], None],
        holder: Callable[[IPv4Address], Awaitable[str]],
    ) -> Grant:
        """Return what a server gives, `wanted` if it can be (0.0.0.0: no matter).

        `chosen` is called before a server is asked for what it offers, and when that
        turns out to be somebody's already, as `holder` tells: the server hears of it.
        Raises Code.TRY_AGAIN_LATER if there is none by `deadline`, of the loop.
        """
        declined = 0
        while (offer := await self._discover(deadline, wanted)) is not None:
            chosen(offers.grant(offer))
            said = await self._request(offer, deadline)
            if said is not None and self._confirms(said.answer, offer.answer.yours):
                who = await holder(offer.answer.yours)
                if not who:
                    return offers.grant(said)
                self._decline(said.answer, who)
                chosen(None)
                wanted, declined = NOWHERE, declined + 1
                if declined == _DECLINES_MAX:
                    break
            await asyncio.sleep(_PAUSE)
        raise self._failure()

    def _decline(self, answer: Answer, who: str) -> None:
        """Tell the server that `who` has the address which it has given."""
        self._trouble(f"server {answer.server} gave {answer.yours}, which {who} has")
        self._tell(
            Kind.DECLINE, answer.server, {message.REQUESTED: answer.yours.packed}
        )

    async def regain(self, seconds: float, wanted: IPv4Address) -> Grant:
        """Return a lease of `wanted`, which is asked for as by a client that has none.

        Raises Code.TRY_AGAIN_LATER if no server gives that.
        """
        until = self._loop.time() + seconds
        offer = await self._discover(until, wanted)
        if offer is None or offer.answer.yours != wanted:
            raise self._failure()
        said = await self._request(offer, until)
        if said is None or not self._confirms(said.answer, wanted):
            raise self._failure()
        return offers.grant(said)

    async def reclaim(self, seconds: float) -> Grant | None:
        """Return the lease as its server confirms it to a client that begins anew.

        None if nobody answers. Raises RefusedError.
        """
        grant = self._grant()
        options = {message.REQUESTED: grant.address.ip.packed}
        return await self._confirmed(self._question(Kind.REQUEST, options), seconds)

    async def extend(self, seconds: float, *, by_anybody: bool) -> Grant | None:
        """Return the lease with more time; its server is asked alone, or everybody.

        None if nobody answers. Raises RefusedError.
        """
        grant = self._grant()
        question = self._question(Kind.REQUEST, {}, grant.address.ip)
        return await self._confirmed(question, seconds, alone=not by_anybody)

    def release(self) -> None:
        """Tell the server that the address is free; nobody answers that."""
        grant = self._grant()
        self._tell(Kind.RELEASE, grant.server, {}, grant.address.ip)

    def _tell(
        self,
        kind: Kind,
        server: IPv4Address,
        given: dict[int, bytes],
        mine: IPv4Address = NOWHERE,
    ) -> None:
        """Say what is not answered, to the server alone if the link has an address."""
        own = {message.SERVER_ID: server.packed, codes.CLIENT_ID: self._client_id()}
        told = Question(kind, message.number(), self._wire.mac, {**own, **given}, mine)
        self._send(told, alone=mine != NOWHERE)

    async def _request(self, offer: Said, deadline: float) -> Said | None:
        """Return what the server says to the choice of its offer, if anything."""
        server, yours = offer.answer.server, offer.answer.yours

        def fits(answer: Answer) -> bool:
            return answer.server in {server, NOWHERE} and answer.kind != Kind.OFFER

        question = self._question(
            Kind.REQUEST,
            {message.REQUESTED: yours.packed, message.SERVER_ID: server.packed},
        )
        said = await self._asked(question, fits, deadline, times=_TIMES)
        if said is not None and said.answer.kind == Kind.NAK:
            self._refusal(said.answer)
        return said

    async def _confirmed(
        self, question: Question, seconds: float, *, alone: bool = False
    ) -> Grant | None:
        grant = self._grant()
        strangers: list[Answer] = []

        def fits(answer: Answer) -> bool:
            if answer.kind == Kind.NAK and answer.server != grant.server:
                strangers.append(answer)  # it may know nothing of the lease
                return False
            return answer.kind == Kind.NAK or self._confirms(answer, grant.address.ip)

        until = self._loop.time() + seconds
        said = await self._asked(question, fits, until, alone=alone)
        if said is not None and said.answer.kind != Kind.NAK:
            return offers.grant(said)
        for answer in [said.answer] if said else strangers[:1]:
            raise RefusedError(self._refusal(answer))
        return None

    async def _discover(self, deadline: float, wanted: IPv4Address) -> Said | None:
        """Return the first offer without a flaw, or a doubtful one after a moment."""
        asked = {message.REQUESTED: wanted.packed} if int(wanted) else {}
        question = self._question(Kind.DISCOVER, asked)

        def is_offer(answer: Answer) -> bool:
            return answer.kind == Kind.OFFER and not self._unusable(answer)

        def is_better(answer: Answer) -> bool:
            return is_offer(answer) and not offers.doubt(answer, wanted)

        first = await self._asked(question, is_offer, deadline)
        doubt = offers.doubt(first.answer, wanted) if first else ""
        if first is None or not doubt:
            return first
        self._trouble(f"server {first.answer.server} offered {doubt}")
        until = min(deadline, self._loop.time() + _BETTER_WAIT)
        return await self._asked(question, is_better, until) or first

    async def _asked(
        self,
        question: Question,
        fits: Callable[[Answer], bool],
        deadline: float,
        *,
        times: int = 0,
        alone: bool = False,
    ) -> Said | None:
        """Ask until an answer fits, or None by `deadline` or after so many `times`."""
        asked = lease.now()
        for number, wait in enumerate(pauses()):
            if self._loop.time() >= deadline or (times and number == times):
                return None
            self._send(question, alone=alone)
            until = min(deadline, self._loop.time() + wait)
            late = 0
            while (
                late < _LATE_MAX
                and (found := await heard(self._wire, until)) is not None
            ):
                late += self._loop.time() > until
                content, mac = found
                try:
                    answer = question.answered(datagram.unpacked(content))
                    if answer is not None and fits(answer):
                        return Said(answer, mac.hex(":"), asked)
                except ValueError as error:
                    self._trouble(f"{mac.hex(':')} answered {error}")
        return None

    def _send(self, question: Question, *, alone: bool = False) -> None:
        """Send to the server `alone`, at the MAC that was heard of it, or to all."""
        where, mac = EVERYBODY, packets.BROADCAST
        if alone:
            where = self._grant().server
            mac = bytes.fromhex(self._grant().server_mac.replace(":", ""))
        try:
            content = datagram.packed(question.packed(), question.mine, where)
            self._wire.send(content, mac)
        except OSError as error:
            raise refused(f"send on {self._wire.name}", error) from error

    def _question(
        self, kind: Kind, given: dict[int, bytes], mine: IPv4Address = NOWHERE
    ) -> Question:
        terms = self._lease.terms
        options = {
            codes.CLIENT_ID: self._client_id(),
            message.SIZE_MAX: _SIZE_MAX.to_bytes(2, "big"),
            **terms.provided,
            **given,
        }
        if terms.requested:
            options[message.ASKED_FOR] = bytes(terms.requested)
        return Question(
            kind,
            message.number(),
            self._wire.mac,
            options,
            mine,
            terms.broadcast or self._wire.kind in _SHARING_A_MAC,
            int(self._loop.time() - self._began),
        )

    def _client_id(self) -> bytes:
        provided = self._lease.terms.provided
        return provided.get(codes.CLIENT_ID, self._lease.client_id)

    def _grant(self) -> Grant:
        assert self._lease.grant is not None
        return self._lease.grant

    def _confirms(self, answer: Answer, wanted: IPv4Address) -> bool:
        if answer.kind != Kind.ACK or self._unusable(answer):
            return False
        if answer.yours != wanted:
            told = f"gave {answer.yours} in the place of {wanted}"
            self._trouble(f"server {answer.server} {told}")
        return answer.yours == wanted

    def _unusable(self, answer: Answer) -> str:
        flaw = offers.flaw(answer)
        if flaw:
            self._trouble(f"server {answer.server} gave {answer.yours} {flaw}")
        return flaw

    def _trouble(self, text: str) -> str:
        """Remember what was of no use; a server may say much of that."""
        if text not in self.troubles:
            self.troubles = [*self.troubles[-_TROUBLES_MAX:], text]
        return text

    def _refusal(self, answer: Answer) -> str:
        text = f": {answer.text}" if answer.text else ""
        return self._trouble(f"server {answer.server} refused{text}")

    def _failure(self) -> CNIError:
        cause = self.troubles[-1] if self.troubles else "no server answered"
        msg = f"lease address for {self._wire.name}: {cause}"
        return CNIError(Code.TRY_AGAIN_LATER, msg, "; ".join(self.troubles[:-1]))
