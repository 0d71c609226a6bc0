# SPDX-License-Identifier: Apache-2.0
"""A network namespace that a packet passes, and the eyes in it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cni_common.kernel import (
    addresses,
    links,
    netns,
    nft_trace,
    route_lookup,
    sightings,
    sysctl,
)
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.stations import Stations, matches
from cni_common.spec.errors import refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Self

    from cni_common.kernel.link_answer import Link
    from cni_common.kernel.nft_trace import Event
    from cni_common.kernel.route_lookup import Neighbour, Route
    from cni_common.kernel.sightings import Sighting
    from cni_common.kernel.sockets import Socket
    from cni_common.spec.fields import IPAddress
    from cnipy.why.flow import Flow

HOST = "the host"


class Place:
    """The namespace at `path`, under a name that the answer has for it.

    It is the host's without a path. Raises CNIError.
    """

    def __init__(self, name: str, path: str = "") -> None:
        self.name, self.is_host = name, not path
        self._opened = ExitStack()
        self.namespace = netns.open_path(path) if path else netns.own()
        self._opened.enter_context(self.namespace)
        with self.inside():
            self.netlink = self._opened.enter_context(Netlink())
        self.events: list[Event] = []
        self.sightings: list[Sighting] = []
        self.stations: Stations | None = None
        self._traced: Socket | None = None
        self._watched: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._opened.close()

    @property
    def identity(self) -> str:
        """By what the namespace is told from others."""
        return self.namespace.identity

    def inside(self) -> AbstractContextManager[None]:
        """Have the calling thread in the namespace for a block."""
        return netns.entered(self.namespace)

    @contextmanager
    def watching(self, flow: Flow, *asked: str) -> Iterator[None]:
        """Follow the flow for a block; what was seen stays. Raises CNIError.

        `asked` are matches of frames that ask who has an address.
        """
        self.events, self.sightings = [], []
        with ExitStack() as opened:
            try:
                with self.inside():
                    number = flow.protocol_number
                    self._watched = sightings.opened(number, flow.number)
                    opened.callback(self._watched.close)
                    self._traced = nft_trace.listening()
                    opened.callback(self._traced.close)
                    told = matches(flow.goal.protocol, flow.number)
                    self.stations = opened.enter_context(Stations(told, asked))
            except OSError as error:
                raise refused(f"watch packets of {self.name}", error) from error
            yield
        self.stations = self._traced = self._watched = None

    def collect(self) -> None:
        """Take what has been seen; raises Code.INTERNAL where some of it was lost."""
        try:
            if self._watched is not None and self._traced is not None:
                self.sightings += sightings.seen(self._watched)
                self.events += nft_trace.told(self._traced)
        except OSError as error:
            raise refused(f"watch packets of {self.name}", error) from error

    def rule(self, event: Event) -> str:
        """Return the rule that an event tells of, as nft prints it."""
        if self.stations is None or not event.handle:
            return ""
        return self.stations.rule(event.family, event.table, event.chain, event.handle)

    def link(self, name: str) -> Link | None:
        """Return a link by its name."""
        return links.get(self.netlink, name)

    def by_index(self, index: int) -> Link | None:
        """Return a link by its index."""
        return links.by_index(self.netlink, index)

    def links(self) -> list[Link]:
        """Return all links."""
        return links.every(self.netlink)

    def addresses(self, link: Link | None = None) -> list[IPAddress]:
        """Return the addresses of a link, or of all: none of loopback or link-local."""
        if link is None:
            found = [each for _, each in addresses.listed(self.netlink)]
        else:
            found = addresses.of_link(self.netlink, link)
        held = [each.address.ip for each in found]
        return [x for x in held if not x.is_link_local and not x.is_loopback]

    def holder(self, address: IPAddress) -> Link | None:
        """Return the link that has an address."""
        held = addresses.listed(self.netlink)
        indexes = (index for index, each in held if each.address.ip == address)
        return next((x for x in map(self.by_index, indexes) if x is not None), None)

    def has(self, address: IPAddress) -> bool:
        """Tell whether the namespace has an address itself."""
        return self.route(address).kind == "local"

    def route(
        self, destination: IPAddress, source: IPAddress | None = None, *, iif: int = 0
    ) -> Route:
        """Return what the kernel does with a packet; see `route_lookup.lookup`."""
        with self.inside():
            return route_lookup.lookup(destination, source, iif=iif)

    def neighbour(self, address: IPAddress, index: int) -> Neighbour | None:
        """Return who has an address on a link, as far as the namespace knows."""
        with self.inside():
            return route_lookup.neighbour(address, index)

    def parameter(self, name: str) -> str | None:
        """Return a kernel parameter of the namespace."""
        with self.inside():
            return sysctl.shown(name)
