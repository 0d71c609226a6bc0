# SPDX-License-Identifier: Apache-2.0
"""Rules that say by a packet's source in which table its route is (ip-rule(8)).

Ours have a priority and a protocol (FRA_PROTOCOL) that nobody else gives.
"""

from __future__ import annotations

import errno
import ipaddress

from cni_common.kernel.attributes import Attributes, attribute, number
from cni_common.kernel.netlink import CREATE, EXCLUSIVE, Netlink, NetlinkError
from cni_common.kernel.requests import NETLINK_HEADER, RTMSG, Request, RouteRequest
from cni_common.kernel.sockets import FAMILY
from cni_common.spec.errors import refused
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.kernel.route_answer import IPAddress
    from cni_common.spec.errors import CNIError

PROTOCOL = 67  # of rules and routes; rt_protos of iproute2 has no such number
PRIORITY = 32000  # before the main table's, behind those of a VPN or an overlay
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_SRC, _PRIORITY, _TABLE, _PROTOCOL = 2, 6, 15, 21  # FRA_*
_TO_TABLE = 1  # FR_ACT_TO_TBL
_WITHOUT_RULES = {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}


class Rule(NamedTuple):
    """What comes from `source` alone, if any, has its route in `table`."""

    source: IPAddress | None
    table: int
    priority: int = PRIORITY
    protocol: int = PROTOCOL

    @property
    def is_ours(self) -> bool:
        """Whether it has our priority and protocol."""
        return (self.priority, self.protocol) == (PRIORITY, PROTOCOL)


class _Answer:
    """A message about a rule, to be decoded into `rule`."""

    rule: Rule

    def __init__(self, message: bytes) -> None:
        self._message = message

    def decode(self) -> None:
        """Read it; the head is that of a route, whose kind is the action."""
        start = NETLINK_HEADER.size
        _, _, length, _, table, *_ = RTMSG.unpack_from(self._message, start)
        told = Attributes(self._message, start + RTMSG.size)
        source = told.raw(_SRC)
        alone = bool(source) and length == 8 * len(source)
        self.rule = Rule(
            ipaddress.ip_address(source) if alone else None,
            told.number(_TABLE) or table,
            told.number(_PRIORITY),
            told.number(_PROTOCOL),
        )


def listed(netlink: Netlink) -> list[Rule]:
    """Return the rules of both families, as far as the kernel has them.

    Raises Code.INTERNAL.
    """
    found: list[_Answer] = []
    for family in FAMILY.values():
        try:
            found += netlink.dump(RouteRequest(family), _RTM_GETRULE, _Answer)
        except NetlinkError as error:
            if error.errno not in _WITHOUT_RULES:
                raise refused("list rules", error) from error
    return [answer.rule for answer in found]


def add(netlink: Netlink, rules: Iterable[Rule]) -> None:
    """Add what is not there of `rules`, in one batch. Raises Code.INTERNAL."""
    flags = CREATE | EXCLUSIVE
    for rule, error in _outcomes(netlink, rules, _RTM_NEWRULE, flags):
        if error.errno != errno.EEXIST:
            raise _refused("add", rule, error) from error


def delete(netlink: Netlink, rules: Iterable[Rule]) -> None:
    """Delete `rules`, in one batch; absence is success. Raises Code.INTERNAL."""
    for rule, error in _outcomes(netlink, rules, _RTM_DELRULE, 0):
        if error.errno not in {errno.ENOENT, *_WITHOUT_RULES}:
            raise _refused("delete", rule, error) from error


def _outcomes(
    netlink: Netlink, rules: Iterable[Rule], kind: int, flags: int
) -> Iterator[tuple[Rule, NetlinkError]]:
    """Yield what the kernel refuses, when all is tried."""
    acted = [rule for rule in rules if rule.source is not None]
    requests = [(_message(rule), kind, flags) for rule in acted]
    for rule, error in zip(acted, netlink.outcomes(requests), strict=True):
        if error is not None:
            yield rule, error


def _refused(verb: str, rule: Rule, error: NetlinkError) -> CNIError:
    return refused(f"{verb} rule from {rule.source} to table {rule.table}", error)


def _message(rule: Rule) -> Request:
    source = rule.source
    assert source is not None
    length, family = source.max_prefixlen, FAMILY[source.version]
    head = RTMSG.pack(family, 0, length, 0, 0, 0, 0, _TO_TABLE, 0)
    mark = attribute(_PROTOCOL, bytes((rule.protocol,))) if rule.protocol else b""
    places = number(_PRIORITY, rule.priority) + number(_TABLE, rule.table)
    return Request(head + attribute(_SRC, source.packed) + places + mark)
