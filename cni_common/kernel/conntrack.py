# SPDX-License-Identifier: Apache-2.0
"""Forget UDP flows (ctnetlink, linux/netfilter/nfnetlink_conntrack.h).

A UDP flow that conntrack knows keeps going where its first packet went, whatever the
rules say by now.
"""

from __future__ import annotations

import ipaddress
import struct
from _socket import IPPROTO_UDP

from cni_common.kernel import raw_netlink, route_get
from cni_common.kernel.attributes import Attributes, attribute, pairs
from cni_common.kernel.raw_netlink import NESTED
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import CNIError, cause_of
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cni_common.kernel.sockets import Socket

_GET, _DELETE = 0x101, 0x102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
_TUPLE_ORIG, _ID, _ZONE, _FILTER = 1, 12, 18, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_DESTINATION = {4: 2, 6: 4}  # CTA_IP_V4_DST, CTA_IP_V6_DST
_PROTO_NUM, _PROTO_DST_PORT = 1, 3
_ORIG_FLAGS, _REPLY_FLAGS = 1, 2
_BY_PROTO_NUM, _BY_DST_PORT = 1 << 3, 1 << 5


class Flow(NamedTuple):
    """UDP to a port of the host: family 4 or 6, port, address or "" for every one."""

    family: int
    port: int
    address: str


def delete_udp(flows: Collection[Flow]) -> str:
    """Delete the UDP entries of conntrack whose original destination is one of `flows`.

    Entries for addresses that are not the host's are never touched. Returns the
    cause when the kernel refuses, else "".
    """
    try:
        with raw_netlink.to_netfilter() as link:
            for family in sorted({flow.family for flow in flows}):
                own = {flow for flow in flows if flow.family == family}
                for entry in list(_entries(link, family, own)):
                    _delete(link, family, entry)
    except OSError as error:
        return cause_of(error)
    return ""


def _entries(
    link: Socket, family: int, flows: Collection[Flow]
) -> Iterator[dict[int, bytes]]:
    """Yield the attributes of each entry that is one of `flows`."""
    ports = {flow.port for flow in flows}
    filtered = _filter(ports.pop() if len(ports) == 1 else None)
    flags = raw_netlink.REQUEST | raw_netlink.DUMP
    link.send(raw_netlink.netfilter_message(_GET, flags, FAMILY[family], filtered))
    local: dict[str, bool] = {}
    for body in raw_netlink.answers(link):
        entry = dict(pairs(body, raw_netlink.GENERIC.size))
        port, address = _destination(entry.get(_TUPLE_ORIG, b""), family)
        if Flow(family, port, address) in flows:
            yield entry
        elif Flow(family, port, "") in flows:
            if address not in local:
                local[address] = _is_local(address)
            if local[address]:
                yield entry


def _filter(port: int | None) -> bytes:
    """Return what makes the kernel (5.8 and later) leave out most others.

    Earlier kernels ignore it; what they list is compared here anyway.
    """
    proto = attribute(_PROTO_NUM, bytes([IPPROTO_UDP]))
    flags = _BY_PROTO_NUM
    if port is not None:
        proto += attribute(_PROTO_DST_PORT, struct.pack("!H", port))
        flags |= _BY_DST_PORT
    wanted = attribute(_TUPLE_PROTO | NESTED, proto)
    which = attribute(_ORIG_FLAGS, struct.pack("=L", flags))
    which += attribute(_REPLY_FLAGS, struct.pack("=L", 0))
    return attribute(_TUPLE_ORIG | NESTED, wanted) + attribute(_FILTER | NESTED, which)


def _destination(original: bytes, family: int) -> tuple[int, str]:
    """Return port and address of a UDP tuple; (0, "") for anything else."""
    parts = Attributes(original)
    proto = parts.nested(_TUPLE_PROTO)
    packed = parts.nested(_TUPLE_IP).raw(_DESTINATION[family])
    port = proto.raw(_PROTO_DST_PORT)
    if proto.raw(_PROTO_NUM) != bytes([IPPROTO_UDP]) or not packed or not port:
        return 0, ""
    return int.from_bytes(port, "big"), str(ipaddress.ip_address(packed))


def _is_local(address: str) -> bool:
    try:
        return route_get.link_towards(ipaddress.ip_address(address)) == "lo"
    except CNIError:
        return False


def _delete(link: Socket, family: int, entry: dict[int, bytes]) -> None:
    """Delete `entry`, named by its tuple, zone and id; absence is success."""
    named = attribute(_TUPLE_ORIG | NESTED, entry[_TUPLE_ORIG])
    for kind in (_ZONE, _ID):
        if kind in entry:
            named += attribute(kind, entry[kind])
    flags = raw_netlink.REQUEST | raw_netlink.ACK
    link.send(raw_netlink.netfilter_message(_DELETE, flags, FAMILY[family], named))
    try:
        list(raw_netlink.answers(link))
    except FileNotFoundError:
        return
