# SPDX-License-Identifier: Apache-2.0
"""Ports of the host lead to the container."""

from __future__ import annotations

from contextlib import suppress

from cni_common import naming
from cni_common.attachment.part import Difference, Part
from cni_common.kernel import nft
from cni_common.published import ledger, localnet, rules
from cni_common.published.claims import Claim, Mapping, Port, Target
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import LinkName
    from cni_common.naming import Attachment
    from cni_common.published.ledger import Claims
    from cni_common.published.rules import Scope


@dataclass(frozen=True, kw_only=True)
class PublishedPorts(Part):
    """The ports of `mappings` lead to `targets`, of which a family has one.

    With `snat` they do so also from the host's 127.0.0.1 and from neighbours of the
    container, with `masq_all` everybody is masqueraded. Addresses on the links
    `excluded` are not the host's. With `counters` bytes and packets are counted.
    """

    in_rules = True
    mappings: tuple[Mapping, ...]
    targets: tuple[Target, ...]
    snat: bool = True
    masq_all: bool = False
    excluded: tuple[LinkName, ...] = ()
    counters: bool = False

    settles = True

    def __str__(self) -> str:
        """Return the sentence."""
        leading = ", ".join(map(str, self.mappings))
        counted = ", and what passes is counted" if self.counters else ""
        return f"{leading}, at {' and '.join(map(str, self.targets))}{counted}"

    @classmethod
    def of_claims(cls, claims: Claims) -> Self:
        """Return what an attachment has whose claims those are."""
        every = [(port, claim) for port, held in claims.items() for claim in held]
        found = [target for _, claim in every for target in claim.targets]
        return cls(
            mappings=tuple(
                Mapping(port, claim.container_port, claim.host_ip)
                for port, claim in every
            ),
            targets=tuple({target.family: target for target in found}.values()),
            snat=any(claim.snat for _, claim in every),
            masq_all=any(claim.masq_all for _, claim in every),
            counters=any(claim.counters for _, claim in every),
        )

    @property
    def ports(self) -> set[Port]:
        """The ports of the host."""
        return {mapping.port for mapping in self.mappings}

    @property
    def links(self) -> set[str]:
        """The links that need route_localnet."""
        found = {t.link for t in self.targets if t.family == 4}  # noqa: PLR2004 - the family's number
        return found - {""} if self.snat else set()

    def claims(self, node: Node) -> Claims:
        """Return what the attachment claims."""
        space = node.namespace
        return self.claims_of(node.attachment, space.path, space.identity)

    def claims_of(self, owner: Attachment, netns: str, identity: str) -> Claims:
        """Return what `owner` claims, whose namespace is told."""
        found: Claims = {}
        for mapping in self.mappings:
            if mapping.container_port:
                claim = self._claim(mapping, owner, netns, identity)
                found.setdefault(mapping.port, []).append(claim)
        return found

    def _claim(
        self, mapping: Mapping, owner: Attachment, netns: str, identity: str
    ) -> Claim:
        return Claim(
            host_ip=mapping.host_ip,
            network=owner.network,
            container_id=owner.container_id,
            ifname=owner.ifname,
            netns=netns,
            identity=identity,
            container_port=mapping.container_port,
            targets=mapping.targets_of(self.targets),
            snat=self.snat,
            masq_all=self.masq_all,
            counters=self.counters,
        )

    def ensure(self, node: Node) -> None:
        """Publish the ports; raises Code.INTERNAL, naming a living holder of one."""
        self.replace(node, PublishedPorts(mappings=(), targets=()))

    def replace(self, node: Node, former: Part) -> None:
        """Publish these ports and no others, in one transaction; raises as `ensure`.

        What is missing of others' is put back as well.
        """
        assert isinstance(former, PublishedPorts)
        before = self._publish(node, former)
        owner, wanted = node.attachment, self.claims(node)
        held = ledger.own(before, owner)
        # What leads where it did goes on, also where the container speaks first.
        changed = [port for port in before if held[port] != wanted.get(port, [])]
        was, is_now = ({p: c[p] for p in changed if p in c} for c in (held, wanted))
        _forget(node, _flows(was, owner) | _flows(is_now, owner))

    def repair(self, node: Node) -> None:
        """Publish what is missing; connections go on."""
        self._publish(node, self)

    def _publish(self, node: Node, former: PublishedPorts) -> Claims:
        """Publish in place of `former`; return the claims that there were.

        The lock is held to the end of the call, and of its undoing.
        """
        from cni_common.published import excluded  # noqa: PLC0415 - not for DEL
        from cni_common.published.conflicts import resolve_conflicts  # noqa: PLC0415 - likewise

        nft.check_openable()
        owner, wanted = node.attachment, self.claims(node)
        node.hold(ledger.lock())
        before = ledger.load({*wanted, *former.ports})
        after = resolve_conflicts(before, owner, wanted)
        node.undo(excluded.forget, excluded.noted())
        excluded.note(self.excluded)
        node.undo(ledger.apply, after, before)
        ledger.apply(before, after, wanted)
        for link in self.links:
            if link not in former.links:
                node.undo(localnet.release, link, owner)
            cause = localnet.require(link, owner)
            if cause:
                node.warn(cause)
        for link in former.links - self.links:
            node.undo(localnet.require, link, owner)
            localnet.release(link, owner)
        return before

    def remove(self, node: Node) -> None:
        """Withdraw the ports; raises Code.INTERNAL.

        Claims that were lost, of whomever, are on record again before.
        """
        withdraw(node, node.attachment, self.ports, self)

    def common(self) -> Part:
        """Return what the table has for all, and what has to be so of the links."""
        from cni_common.parts.publishing import Publishing  # noqa: PLC0415 - not for ADD and DEL

        scopes: set[Scope] = set()
        if any(target.conditions for target in self.targets):
            with suppress(CNIError):  # which `differences` tells
                held = ledger.load(self.ports).values()
                scopes = rules.scopes(claim for claims in held for claim in claims)
        links = tuple(sorted(self.links))
        return Publishing(scopes=tuple(sorted(scopes)), links=links)

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield the claims and elements that are missing."""
        owner, held = node.attachment, ledger.load(self.ports)
        own = ledger.own(held, owner)
        for port, wanted in self.claims(node).items():
            if len(own[port]) != len(wanted) or not all(
                map(Claim.is_as, own[port], wanted)
            ):
                yield missing(f"claim of {owner} on {port}")
        for lack in ledger.lacking(held, naming.comment(owner), node.sets):
            yield missing(lack.text)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Withdraw the ports that the configuration names, or that were lost."""
        from cni_common.published import unrecorded  # noqa: PLC0415 - only without a record

        unrecorded.delete(node)

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Withdraw the ports of attachments of `network` that are not `valid`."""
        from cni_common.published import unrecorded  # noqa: PLC0415 - for GC alone

        unrecorded.collect(network, valid)


def missing(what: str) -> Difference:
    """Return that `what` is missing."""
    return Difference(f"check published ports: missing {what}")


def withdraw(
    node: Node,
    owner: Attachment,
    ports: Iterable[Port],
    part: PublishedPorts | None = None,
) -> None:
    """Take `ports` from `owner`, who needs no link for them any more.

    Of a `part` of a record it is known that there were claims.
    """
    with ledger.lock():
        before = ledger.load(ports)
        own = ledger.own(before, owner)
        if part and not all(own.values()):
            ledger.recall_claims()
            before = ledger.load(ports)
            own = ledger.own(before, owner)
        after = ledger.without(before, owner)
        claimed = PublishedPorts.of_claims(own)
        for link in claimed.links.union(part.links if part else ()):
            localnet.release(link, owner)
        ledger.apply(before, after)
    _forget(node, _flows(before, owner))


def _flows(claims: Claims, owner: Attachment) -> set[tuple[int, int, str]]:
    """Return family, port and address of the UDP flows that the claims are about."""
    return {
        (family, port.number, at)
        for port, held in ledger.own(claims, owner).items()
        if port.protocol == "udp"
        for claim in held
        for family, at in claim.published.items()
    }


def _forget(node: Node, flows: set[tuple[int, int, str]]) -> None:
    """Delete entries of conntrack for `flows`, which may lead elsewhere now."""
    if flows:
        from cni_common.kernel import conntrack  # noqa: PLC0415 - for UDP alone

        cause = conntrack.delete_udp({conntrack.Flow(*flow) for flow in flows})
        if cause:
            node.warn(f"delete UDP entries of conntrack: {cause}")
