# SPDX-License-Identifier: Apache-2.0
"""WireGuard devices and their peers, by generic netlink (linux/wireguard.h, 5.6).

A private key is 32 random bytes; the public one that belongs to it the kernel tells.
"""

from __future__ import annotations

import ipaddress
import struct
from contextlib import ExitStack
from sys import byteorder

from cni_common.kernel import links
from cni_common.kernel.attributes import Attributes, attribute, number, pairs, text
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.kernel.raw_netlink import NESTED
from cni_common.kernel.requests import NETLINK_HEADER, Request
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import CNIError, Code, refused
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from cni_common.kernel.route_answer import IPAddress, IPNetwork

KIND = "wireguard"
KEY_SIZE = 32  # bytes
NO_KEY = bytes(KEY_SIZE)
_NETLINK_GENERIC = 16
_GENERIC = struct.Struct("=BBxx")  # struct genlmsghdr
_BODY = NETLINK_HEADER.size + _GENERIC.size
_CONTROLLER, _GETFAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2  # GENL_ID_CTRL, CTRL_*
_GET, _SET, _VERSION = 0, 1, 1  # WG_CMD_*
_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 2, 3, 4, 6, 8  # WGDEVICE_A_*
_KEY, _FLAGS, _ENDPOINT, _HANDSHAKE, _ALLOWED = 1, 3, 4, 6, 9  # WGPEER_A_*
_FAMILY, _ADDRESS, _LENGTH = 1, 2, 3  # WGALLOWEDIP_A_*
_REMOVE = 1  # WGPEER_F_REMOVE_ME
_SOCKADDR = {4: struct.Struct(">H4s8x"), 6: struct.Struct(">HI16sI")}
_MESSAGE_MAX = 1 << 15  # bytes of peers in a message; an attribute ends at 64 KiB
_ALLOWED_MAX = 512  # networks of a peer in a message, of 40 bytes at most


class Peer(NamedTuple):
    """Another end: its public key, where it is, and what it may send and is sent.

    `handshake` is the time of the last one, in seconds since 1970; 0 for none.
    """

    key: bytes
    endpoint: IPAddress | None
    port: int
    allowed: frozenset[IPNetwork]
    handshake: int = 0


class Device(NamedTuple):
    """What a device is and knows; of the private key, whether it has one is told."""

    public_key: bytes
    private_key: bytes
    port: int
    peers: dict[bytes, Peer]


class Wireguard:
    """The WireGuard devices of the namespace in which this was opened.

    Raises Code.INTERNAL where the kernel has none.
    """

    def __init__(self) -> None:
        with ExitStack() as undo:
            self._netlink = Netlink(protocol=_NETLINK_GENERIC)
            undo.callback(self._netlink.close)
            self._family = self._find_family()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._netlink.close()

    def device(self, name: str) -> Device:
        """Return what the device `name` is. Raises Code.INTERNAL."""
        question = Request(_GENERIC.pack(_GET, _VERSION) + text(_IFNAME, name))
        try:
            answers = self._netlink.dump(question, self._family, _DeviceAnswer)
        except NetlinkError as error:
            raise refused(f"list peers of {name}", error) from error
        peers: dict[bytes, Peer] = {}
        for peer in (peer for answer in answers for peer in answer.peers):
            # One that does not fit into a message goes on in the next.
            before = peers.get(peer.key)
            allowed = peer.allowed | before.allowed if before else peer.allowed
            peers[peer.key] = (before or peer)._replace(allowed=allowed)
        first = answers[0]
        return Device(first.public_key, first.private_key, first.port, peers)

    def set_up(self, name: str, private_key: bytes, port: int) -> None:
        """Give the device its key and its port. Raises Code.INTERNAL."""
        told = attribute(_PRIVATE_KEY, private_key)
        told += attribute(_LISTEN_PORT, port.to_bytes(2, byteorder))
        try:
            self._set(name, told)
        except NetlinkError as error:
            raise refused(f"set key of {name}", error) from error

    def add_peers(self, name: str, peers: Iterable[Peer]) -> None:
        """Have the device know `peers`, at their endpoints.

        What they are allowed they have from then on, and no other: it is moved, and no
        packet finds nobody in between. What they were allowed before stays theirs.
        Raises Code.INTERNAL.
        """
        self._set_peers(name, [part for each in peers for part in _peer(each)])

    def delete_peers(self, name: str, keys: Iterable[bytes]) -> None:
        """Have the device forget those with `keys`. Raises Code.INTERNAL."""
        remove = number(_FLAGS, _REMOVE)
        gone = [attribute(NESTED, attribute(_KEY, key), remove) for key in keys]
        self._set_peers(name, gone)

    def _set_peers(self, name: str, peers: Sequence[bytes]) -> None:
        for part in _parts(peers):
            try:
                self._set(name, attribute(_PEERS | NESTED, *part))
            except NetlinkError as error:
                raise refused(f"set peers of {name}", error) from error

    def _set(self, name: str, told: bytes) -> None:
        body = _GENERIC.pack(_SET, _VERSION) + text(_IFNAME, name) + told
        self._netlink.act((Request(body), self._family, 0))

    def _find_family(self) -> int:
        question = Request(_GENERIC.pack(_GETFAMILY, 1))
        try:
            answers = self._netlink.dump(question, _CONTROLLER, _FamilyAnswer)
        except NetlinkError as error:
            raise refused("find WireGuard", error) from error
        for answer in answers:
            if answer.name == KIND:
                return int(answer.id)
        raise CNIError(Code.INTERNAL, "find WireGuard: this kernel has none")


def add(netlink: Netlink, name: str, *, mtu: int) -> None:
    """Add a device that is down and has no key. Raises NetlinkError."""
    links.add(netlink, name, KIND, mac="", mtu=mtu, up=False)


def clamped(key: bytes) -> bytes:
    """Return random bytes as a private key of Curve25519 (RFC 7748, section 5)."""
    return bytes((key[0] & 248, *key[1:31], key[31] & 127 | 64))


def _parts(peers: Sequence[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for peer in peers:
        if part and size + len(peer) > _MESSAGE_MAX:
            yield part
            part, size = [], 0
        part.append(peer)
        size += len(peer)
    if part:
        yield part


def _peer(peer: Peer) -> Iterator[bytes]:
    """Yield what tells of a peer, again for more than it can be allowed at once."""
    told = attribute(_KEY, peer.key)
    if peer.endpoint is not None:
        told += attribute(_ENDPOINT, _socket_address(peer.endpoint, peer.port))
    allowed = sorted(peer.allowed, key=str)
    for start in range(0, max(len(allowed), 1), _ALLOWED_MAX):
        part = (_allowance(each) for each in allowed[start : start + _ALLOWED_MAX])
        every = (attribute(NESTED, each) for each in part)
        yield attribute(NESTED, told, attribute(_ALLOWED | NESTED, *every))


def _allowance(network: IPNetwork) -> bytes:
    family = FAMILY[network.version].to_bytes(2, byteorder)
    address = attribute(_ADDRESS, network.network_address.packed)
    length = attribute(_LENGTH, bytes((network.prefixlen,)))
    return attribute(_FAMILY, family) + address + length


def _socket_address(address: IPAddress, port: int) -> bytes:
    family = FAMILY[address.version].to_bytes(2, byteorder)
    if address.version == 4:  # noqa: PLR2004 - struct sockaddr_in
        return family + _SOCKADDR[4].pack(port, address.packed)
    return family + _SOCKADDR[6].pack(port, 0, address.packed, 0)


class _FamilyAnswer:
    """A message about a family of generic netlink."""

    id: int
    name: str

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read its name, and the type of its messages."""
        told = Attributes(self._message, _BODY)
        self.id, self.name = told.number(_FAMILY_ID), told.text(_FAMILY_NAME)


class _DeviceAnswer:
    """A message about a device and some of its peers."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self.public_key = self.private_key = NO_KEY
        self.port = 0
        self.peers: list[Peer] = []

    def decode(self) -> None:
        """Read them."""
        told = Attributes(self._message, _BODY)
        self.public_key = told.raw(_PUBLIC_KEY) or NO_KEY
        self.private_key = told.raw(_PRIVATE_KEY) or NO_KEY
        self.port = told.number(_LISTEN_PORT)
        self.peers = [_decoded(peer) for _, peer in pairs(told.raw(_PEERS))]


def _decoded(message: bytes) -> Peer:
    told = Attributes(message)
    allowed = frozenset(_network(each) for _, each in pairs(told.raw(_ALLOWED)))
    endpoint, port = _endpoint(told.raw(_ENDPOINT))
    handshake = int.from_bytes(told.raw(_HANDSHAKE)[:8], byteorder)
    return Peer(told.raw(_KEY), endpoint, port, allowed, handshake)


def _network(message: bytes) -> IPNetwork:
    told = Attributes(message)
    return ipaddress.ip_network((told.raw(_ADDRESS), told.number(_LENGTH)))


def _endpoint(raw: bytes) -> tuple[IPAddress | None, int]:
    if not raw:
        return None, 0
    if int.from_bytes(raw[:2], byteorder) == FAMILY[4]:
        port, packed = _SOCKADDR[4].unpack_from(raw, 2)
    else:
        port, _, packed, _ = _SOCKADDR[6].unpack_from(raw, 2)
    return ipaddress.ip_address(packed), port
