# SPDX-License-Identifier: Apache-2.0
"""Whom SOURCE and TARGET[:PORT][/PROTOCOL] of the command line mean."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from cni_common import naming
from cni_common.kernel import netns_identity
from cni_common.spec.characters import is_port
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from cnipy.containers import Containers
from cnipy.why import elsewhere
from cnipy.why.flow import ICMP, TCP, UDP, Goal
from cnipy.why.outside import Outside
from cnipy.why.place import HOST, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from cni_common.spec.fields import IPAddress
    from cnipy.containers import Container, Known
    from cnipy.context import Context

_HOST_WORD, _OUTSIDE_WORD = "host", "outside"
# Of nobody (RFC 5737, RFC 3849): whoever comes by the default route.
_ANYBODY = {4: "203.0.113.77", 6: "2001:db8:ffff::77"}
_LAST_PORT = 65535
_FORM = f"the form is TARGET[:PORT][/{TCP}|{UDP}|{ICMP}], PORT 1 to {_LAST_PORT}"


class Words(NamedTuple):
    """A target as it is written: host, port and protocol, 0 and icmp for none."""

    who: str
    port: int
    protocol: str


def read_target(text: str) -> Words:
    """Return what a target's words are; raises Code.INVALID_ENVIRONMENT."""
    who, slash, protocol = text.rpartition("/")
    if not slash or protocol not in {TCP, UDP, ICMP}:
        who, protocol = text, ""
    name, colon, number = who.rpartition(":")
    is_bracketed = who.startswith("[") and who.endswith("]")
    if not colon or is_bracketed or (":" in name and not name.startswith("[")):
        name, number = who, ""
    if number and not (is_port(number) and int(number) <= _LAST_PORT):
        msg = f"parse target {text!r}: {number!r} is no port"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, _FORM)
    if protocol and bool(number) == (protocol == ICMP):
        msg = f"parse target {text!r}: tcp and udp have a port, icmp has none"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, _FORM)
    name = name.removeprefix("[").removesuffix("]")
    return Words(name, int(number or 0), protocol or (TCP if number else ICMP))


class Ends:
    """Finds the places of a question; those that it opens are closed by `opened`."""

    def __init__(self, context: Context, opened: ExitStack) -> None:
        self._containers, self._opened = Containers(context), opened
        self.host = opened.enter_context(Place(HOST))
        self._places = {self.host.identity: self.host}

    def source(self, word: str) -> Place | None:
        """Return where a packet is sent from, None for outside; raises CNIError."""
        if word == _HOST_WORD:
            return self.host
        if word == _OUTSIDE_WORD:
            return None
        with suppress(ValueError):
            address = ipaddress.ip_address(word)
            return self.host if self.host.has(address) else self.holder(address)
        return self._place(self._container(word))

    def outside(self, word: str, version: int) -> Outside:
        """Return who is outside: the address that is named, or anybody's.

        Beyond the link by which the host routes to it. Raises CNIError.
        """
        named = _ANYBODY[version] if word == _OUTSIDE_WORD else word
        address = ipaddress.ip_address(named)
        if address.version != version:
            msg = f"send from {word}: the target is asked by IPv{version}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        route = self.host.route(address)
        link = None if route.error else self.host.by_index(route.link)
        if link is None:
            msg = f"send from {word}: the host has no route to {address}"
            hint = (
                "so that nobody can tell by which link it would come; name an address"
            )
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, hint)
        return Outside(address, link)

    def goal(self, words: Words, source: Place | None, version: int, size: int) -> Goal:
        """Return where the packet goes: of a container its first address.

        One on a network that the source is on, too, comes before. Of IP `version`, or 0
        for the first that the source has, too. Raises CNIError.
        """
        with suppress(ValueError):
            address = ipaddress.ip_address(words.who)
            if version not in {0, address.version}:
                msg = f"ask for IPv{version}: {address} is none"
                raise CNIError(Code.INVALID_ENVIRONMENT, msg)
            return Goal(address, words.port, words.protocol, size)
        name, found = self._target(words.who, source)
        fit = [a for a in found if version in {0, a.version}]
        if not fit:
            of = f"IPv{version} " if version else ""
            msg = f"find address of {words.who}: {name} has no {of}address"
            raise CNIError(Code.UNKNOWN_CONTAINER, msg)
        own = {address.version for address in (source or self.host).addresses()}
        address = next((a for a in fit if a.version in own), fit[0])
        return Goal(address, words.port, words.protocol, size)

    def _target(self, who: str, source: Place | None) -> tuple[str, list[IPAddress]]:
        """Return a name for who is meant, and its addresses; raises CNIError."""
        if who == _HOST_WORD:
            return self.host.name, self._of_host(source)
        if self._containers.find(who) is None:
            there = elsewhere.addresses(who)
            if there:
                return who, there
        place = self._place(self._container(who))
        return place.name, _near_first(place.addresses(), source)

    def _of_host(self, source: Place | None) -> list[IPAddress]:
        """Return the host's addresses, that towards the source first."""
        found = self.host.addresses()
        asking = [ipaddress.ip_address(each) for each in _ANYBODY.values()]
        if source is not None:
            asking = [] if source.is_host else source.addresses()
        near = {self.host.route(address).source for address in asking}
        return sorted(found, key=lambda address: address not in near)

    def holder(self, address: IPAddress) -> Place | None:
        """Return the container that has an address, None where none on record has.

        It is not looked for where the host has it itself.
        """
        if self.host.has(address):
            return None
        for place in self._places.values():
            if not place.is_host and address in place.addresses():
                return place
        for known in self._likely(address):
            with suppress(CNIError):  # it ended just now
                place = Place(self._title(known.container_id), known.netns)
                if address in place.addresses():
                    return self._kept(place)
                place.__exit__()
        return None

    def _likely(self, address: IPAddress) -> Iterator[Known]:
        """Yield who may have an address, one of each namespace that is not open yet.

        Who was given it by a result, then of whom no result tells; everybody else only
        where the host has it on a link to containers: somebody may have it by hand.
        """
        given: dict[str, frozenset[IPAddress]] = {}
        spaces: dict[str, Known] = {}
        for known in self._containers.known:
            identity = netns_identity.at(known.netns) if known.netns else ""
            if not identity or identity in self._places:
                continue
            if known.identity in {"", identity}:
                spaces.setdefault(identity, known)
                given[identity] = given.get(identity, frozenset()) | known.addresses
        yield from (spaces[each] for each, told in given.items() if address in told)
        yield from (spaces[each] for each, told in given.items() if not told)
        if self._is_towards_containers(address):
            others = (e for e, told in given.items() if told and address not in told)
            yield from (spaces[each] for each in others)

    def _is_towards_containers(self, address: IPAddress) -> bool:
        route = self.host.route(address)
        if route.error or route.gateway is not None:
            return False
        link = self.host.by_index(route.link)
        if link is None:
            return False
        return link.kind == "bridge" or naming.is_ours(link.alias)

    def _title(self, container_id: str) -> str:
        """Return a container's ID, and what a runtime calls it."""
        called = self._containers.names().get(container_id)
        return f"{container_id} ({called[-1]})" if called else container_id

    def _container(self, word: str) -> Container:
        found = self._containers.find(word)
        if found is None or not found.identity:
            what = "its network namespace is gone" if found else "unknown"
            msg = f"find container {word}: {what}"
            hint = f"an address, {_HOST_WORD}, or a container: name as in `ip netns`, "
            raise CNIError(
                Code.UNKNOWN_CONTAINER, msg, f"{hint}process ID, path, ID, name"
            )
        return found

    def _place(self, container: Container) -> Place:
        place = Place(container.word, container.netns)
        return self._kept(place)

    def _kept(self, place: Place) -> Place:
        """Return the place, or the one of the same namespace that is open already."""
        known = self._places.get(place.identity)
        if known is not None:
            place.__exit__()
            return known
        self._opened.enter_context(place)
        self._places[place.identity] = place
        return place


def _near_first(found: list[IPAddress], source: Place | None) -> list[IPAddress]:
    """Return addresses, those first that the source reaches without a gateway."""
    if source is None:
        return found

    def is_far(address: IPAddress) -> bool:
        route = source.route(address)
        return bool(route.error) or route.gateway is not None

    return sorted(found, key=is_far)
