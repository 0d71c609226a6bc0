# SPDX-License-Identifier: Apache-2.0
"""A node under examination: what several findings look at, looked at once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from cni_common import naming
from cni_common.attachment import condition, record
from cni_common.attachment.node import Node
from cni_common.attachment.survey import Survey
from cni_common.frame.log import remark, remarks
from cni_common.frame.rollback import Gather
from cni_common.kernel import addresses, default_route
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from cnipy import network as networks
from cnipy import recorded
from cnipy.doctor import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cni_common.attachment.part import Part
    from cni_common.attachment.record import Record
    from cni_common.kernel.addresses import Assigned
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.fields import IPAddress
    from cnipy.network import Network
    from cnipy.recorded import Recorded
    from cnipy.runtime import Runtime
    from cnipy.suite import Suite


class Held(NamedTuple):
    """What a plugin has on record of a living attachment."""

    item: Recorded
    plugin: str
    record: Record

    @property
    def network(self) -> str:
        """The network that it is attached to."""
        return self.item.attachment.network

    def parts(self, kind: str) -> list[Part]:
        """Return its parts of one kind."""
        return [part for part in self.record.parts if part.kind() == kind]


class Lack(NamedTuple):
    """What is not as recorded of a part that a living attachment consists of."""

    held: Held
    part: Part
    text: str


class Examination:
    """The node that the calling thread is in, seen through its records and the kernel.

    `only` names the one network that is asked about, None for all. What cannot be read
    of the records `doubts` has.
    """

    def __init__(
        self, suite: Suite, runtime: Runtime, directory: str, only: str | None
    ) -> None:
        self.suite, self.runtime, self.directory, self.only = (
            suite,
            runtime,
            directory,
            only,
        )
        self.doubts = Gather()
        self._survey = Survey()
        self.host = Node(Attachment("", "", ""), "", survey=self._survey)

    def __enter__(self) -> Self:
        self.host.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self.host.__exit__(None, None, None)

    @cached_property
    def files(self) -> dict[str, str]:
        """The files of the networks, by their names."""
        listed = networks.listed(self.directory)
        return dict(reversed(listed))  # the first of a name is taken

    @cached_property
    def all_networks(self) -> list[Network]:
        """Every network that has a list; a malformed one is a doubt."""
        found = (
            self.doubts.attempt(networks.load, self.directory, n) for n in self.files
        )
        return [each for each in found if each is not None]

    @cached_property
    def networks(self) -> list[Network]:
        """The networks that are asked about.

        Raises Code.INVALID_CONFIG for a name that neither a list nor a record has.
        """
        found = [n for n in self.all_networks if self.only in {None, n.name}]
        if not found and self.only is not None and not self.held:
            there = " ".join(sorted(self.files)) or "none"
            msg = f"find network {self.only}: unknown"
            raise CNIError(Code.INVALID_CONFIG, msg, f"there are: {there}")
        return found

    @cached_property
    def held(self) -> list[Held]:
        """What is on record of living attachments of the networks asked about."""
        found = []
        for item in recorded.recorded(self.suite, self.doubts).values():
            if self.only not in {None, item.attachment.network} or not item.lives:
                continue
            for plugin in item.plugins:
                if self.suite.plugin(plugin).scheme is None:
                    continue
                told = record.read_parts(plugin, item.attachment)
                if told is not None and told.is_made:
                    found.append(Held(item, plugin, told))
        return found

    @cached_property
    def unreadable(self) -> list[str]:
        """Why records count for nothing, each once; no doubts any more."""
        others, before = remarks(), len(self.doubts.raised)
        _ = self.held
        found = [*map(str, self.doubts.raised[before:]), *remarks()]
        del self.doubts.raised[before:]
        for text in others:
            remark(text)
        return list(dict.fromkeys(found))

    @cached_property
    def lacks(self) -> list[Lack]:
        """All that living attachments lack of what is on record."""
        found = []
        for held in self.held:
            at, seen = held.item.attachment, held.record
            with Node(at, held.plugin, record=seen, beside=self.host) as node:
                for part in condition.lasting(seen.parts):
                    told = condition.differences(node, [part])
                    found += [Lack(held, part, each.text) for each in told]
        return found

    @property
    def links(self) -> dict[int, Link]:
        """The host's links by their indexes."""
        return self._survey.by_index

    @property
    def links_by_name(self) -> dict[str, Link]:
        """The host's links by their names."""
        return self._survey.by_name

    @cached_property
    def uplink(self) -> Link | None:
        """The link of the host's default route, None without one."""
        return default_route.link(self.host.host)

    @cached_property
    def foreign_addresses(self) -> list[tuple[Link, Assigned]]:
        """The addresses of links that were not made for containers."""
        bridges = {wanted.bridge(network) for network in self.all_networks}
        found = []
        for link in self.links.values():
            if link.name in bridges or naming.is_ours(link.alias) or link.name == "lo":
                continue
            held = addresses.of_link(self.host.host, link)
            found += [(link, each) for each in held]
        return found

    def towards(self, held: Held) -> str:
        """Return the link by which the host routes to a container, or nothing."""
        found = [str(getattr(each, "link", "")) for each in held.parts("gateway")]
        found += [str(getattr(each, "host", "")) for each in held.parts("host_routed")]
        return next(iter(found), "")

    def addresses_of(self, held: Held) -> list[IPAddress]:
        """Return the addresses of a container's interface."""
        parts = [*held.parts("gateway"), *held.parts("host_routed")]
        return [ip.address.ip for part in parts for ip in getattr(part, "ips", ())]


def names(items: Iterable[Held]) -> str:
    """Return a few containers as a text."""
    shown = 3
    found = list(dict.fromkeys(str(each.item) for each in items))
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(found[:shown]) + more
