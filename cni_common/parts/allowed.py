# SPDX-License-Identifier: Apache-2.0
"""What the container forwards passes wherever the host drops; networks are kept apart.

Where that is, the host says anew each time; where rules are, their users say
(docs/decisions/0028). So the wanted state is the same on any host.
"""

from __future__ import annotations

from cni_common import attachments
from cni_common.allowed import nftables, places, users
from cni_common.allowed.rules import ZONES
from cni_common.attachment.part import Difference, Part, differences_of
from cni_common.frame.rollback import Gather
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName, Word
    from cni_common.spec.fields import IPAddress, IPNetwork

ADMIN_CHAIN = "CNI-ADMIN"
FIREWALLD_ZONE = "trusted"


@dataclass(frozen=True, kw_only=True)
class Allowed(Part):
    """Packets from and to `addresses` are forwarded.

    The links of `guarded`, the host's towards the container, exchange none with those
    that others guard; with `isolated` nothing is forwarded within them either, and
    `ports` of bridges exchange no frames. `pools` are where the network's containers on
    other nodes are, who come by the link `overlay`, or by any where there is none.
    `backend` says what carries the rules: "", what the host calls for. `admin_chain` of
    iptables is consulted before, and `zone` of firewalld has the addresses.
    """

    in_rules = True
    addresses: tuple[IPAddress, ...]
    guarded: tuple[LinkName, ...] = ()
    isolated: bool = False
    ports: tuple[LinkName, ...] = ()
    pools: tuple[IPNetwork, ...] = ()
    overlay: LinkName = ""
    backend: Word = ""
    admin_chain: Word = ADMIN_CHAIN
    zone: Word = FIREWALLD_ZONE

    settles = True

    def __str__(self) -> str:
        """Return the sentence."""
        where = f"by {self.backend}" if self.backend else "wherever the host drops"
        told = f"what is forwarded for {_listed(self.addresses)} is accepted {where}"
        if self.guarded:
            told += f"; {_listed(self.guarded)} is kept apart from other guarded links"
        if self.isolated:
            told += ", and containers there from one another"
        if self.pools:
            by = f", which come by {self.overlay}" if self.overlay else ""
            told += f"; of the same network are {_listed(self.pools)}{by}"
        return told

    @property
    def policy(self) -> str:
        """The word of the configuration for what is kept apart."""
        kept = "isolated" if self.isolated else "same-bridge"
        return kept if self.guarded else "open"

    def ensure(self, node: Node) -> None:
        """Ensure the rules, and those of others where the host needs them by now.

        What fails of the latter is a warning. Raises Code.INTERNAL.
        """
        node.undo(self.remove, node)
        self._bring(node, again=False)

    def replace(self, node: Node, former: Part) -> None:
        """Ensure these rules and no former ones; the same are made sure of."""
        if former == self:
            self.repair(node)
        else:
            super().replace(node, former)

    def repair(self, node: Node) -> None:
        """Ensure the rules as `ensure` does; those that are there stay."""
        self._bring(node, again=True)

    def remove(self, node: Node) -> None:
        """Remove the rules that nobody else needs, wherever they are.

        With a firewalld that hangs, all but its sources. Raises Code.INTERNAL.
        """
        attachment = node.attachment
        with Gather() as errors:
            if users.held(ZONES, self, attachment):
                from cni_common.allowed import zone  # noqa: PLC0415 - with firewalld

                errors.attempt(zone.await_firewalld)
            passed_over = {ZONES} if errors.raised else set()
            with users.lock():
                if node.record and users.are_lost(attachment, self):
                    from cni_common.allowed import recount  # noqa: PLC0415 - rare

                    errors.attempt(recount.recount, (attachment, self))
                errors.attempt(places.remove, self, attachment, passed_over)
                # After the record nobody would come back for what is marked for all.
                others = attachments.any_of(users.NAME, but=attachment)
                if not errors.raised and not others:
                    users.unsettle(users.settled())
            if not self.addresses:  # read back from elements, perhaps
                from cni_common.allowed import unrecorded  # noqa: PLC0415 - rare

                errors.attempt(unrecorded.remove_owned, attachment)

    def common(self) -> Part:
        """Return what is there once for all."""
        from cni_common.parts.allowing import Allowing  # noqa: PLC0415 - not for ADD and DEL

        return Allowing()

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the first thing that is missing of where the host needs rules now."""
        yield from differences_of(self._require, node)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Remove what is the attachment's by its users, and what the reference left."""
        from cni_common.allowed import unrecorded  # noqa: PLC0415 - rare

        unrecorded.remove(node)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Remove what is not `valid`; the rules of others follow the host."""
        from cni_common.allowed import unrecorded  # noqa: PLC0415 - for GC alone

        unrecorded.collect(network, valid)

    def _bring(self, node: Node, *, again: bool) -> None:
        from cni_common.allowed import choice, following  # noqa: PLC0415 - not for DEL

        there = node.once(choice.look, self.backend)
        chosen = node.once(choice.of, there, self)
        own, others = (node.attachment, self), Gather()
        with users.lock():
            following.bring(chosen, own, again=again)
            others.attempt(following.follow, there, own)
        for error in others.raised:
            node.warn(f"bring rules of other containers up to date: {error}")

    def _require(self, node: Node) -> None:
        """Raise Code.INTERNAL for the first thing that is missing."""
        from cni_common.allowed import choice  # noqa: PLC0415 - not for DEL

        attachment = node.attachment
        there = node.once(choice.look, self.backend)
        chosen = node.once(choice.of, there, self)
        filters = users.filters(attachment, self, node.once(users.places))
        absent = set(chosen.filters) - set(filters)
        if absent:
            missing = f"rules in filter table {min(absent)}: by now {chosen.why}"
            raise _missing(missing)
        in_zone = users.held(ZONES, self, attachment)
        if chosen.firewalld and not in_zone and self.addresses:
            raise _missing(f"sources in zone {self.zone}: by now {chosen.why}")
        nftables.require(self, attachment, filtered=bool(filters), sets=node.sets)
        for name in filters:
            from cni_common.allowed import iptables  # noqa: PLC0415 - on such hosts

            iptables.require(name, self, attachment)
        if in_zone:
            from cni_common.allowed import zone  # noqa: PLC0415 - only with firewalld

            zone.require(self)


def _missing(what: str) -> CNIError:
    way_out = "the next ADD of any container, or GC, brings the rules of all there"
    return CNIError(Code.INTERNAL, f"check firewall: missing {what}", way_out)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
