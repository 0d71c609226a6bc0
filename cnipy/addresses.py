# SPDX-License-Identifier: Apache-2.0
"""`cnipy addresses`: which addresses of a network are used, by whom, since when.

Leases of host-local and cluster-pool are files whose format says no more than the
owner; addresses that a plugin has on record without such a lease (static, dhcp, another
suite's) are told, too.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Any

from cni_common import attachments
from cni_common.spec import gojson
from cni_common.spec.model import parse
from cni_common.spec.values import NamedTuple, dataclass
from cnipy import leases
from cnipy.paper import columns
from cnipy.verb import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnipy.network import Network
    from cnipy.paper import Paper
    from cnipy.suite import Suite
    from cnipy.tree import Attached

# Their leases are files of one format.
LEASING = frozenset({"host-local", "cluster-pool"})
_MANY = 10**6  # addresses that nobody will count


class Used(NamedTuple):
    """An address that somebody has; `since` in seconds since 1970."""

    address: str
    container_id: str
    ifname: str
    since: float
    called: str = ""
    doubt: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "address": self.address,
            "containerID": self.container_id,
            "ifname": self.ifname,
            "since": _instant(self.since),
            "called": self.called,
            "doubt": self.doubt,
        }


@dataclass(frozen=True)
class Pool:
    """A range set, from which a container has one address."""

    ranges: str
    subnets: tuple[str, ...]
    size: int
    used: int

    @property
    def free(self) -> int:
        """How many addresses are left."""
        return max(self.size - self.used, 0)

    def line(self) -> str:
        """Return it in words."""
        free = f"{self.free} free" if self.free < _MANY else "more than enough free"
        return f"{', '.join(self.subnets)} ({self.ranges}): {self.used} used, {free}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "subnets": list(self.subnets),
            "ranges": self.ranges,
            "size": self.size,
            "used": self.used,
            "free": self.free,
        }


class Addresses(Answer):
    """The pools of a network and the addresses that are used, in order."""

    def __init__(self, pools: Sequence[Pool], used: Sequence[Used]) -> None:
        self.pools, self.used = pools, used

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a line for each pool and each address."""
        for pool in self.pools:
            yield paper.tint(paper.cut(pool.line()), "bold")
            if not pool.free:
                text = "  ! no address is left; `cnipy gc` frees those of the dead"
                yield paper.tint(paper.cut(text), "red")
        if not self.used:
            yield "no address is used"
            return
        rows = [("ADDRESS", "SINCE", "INTERFACE", "CONTAINER")]
        for each in self.used:
            called = f" ({each.called})" if each.called else ""
            whose = f"{each.container_id}{called}"
            rows.append((each.address, _instant(each.since), each.ifname, whose))
        head, *lines = columns(rows)
        yield paper.tint(paper.cut(head), "bold")
        for each, line in zip(self.used, lines, strict=True):
            yield paper.cut(line)
            if each.doubt:
                yield paper.tint(paper.cut(f"  ! {each.doubt}"), "red")

    def document(self) -> dict[str, Any]:
        """Return pools and addresses."""
        return {
            "pools": [pool.document() for pool in self.pools],
            "used": [each.document() for each in self.used],
        }


def used(
    name: str,
    directories: Sequence[str],
    found: Sequence[Attached],
    called: Mapping[str, tuple[str, ...]],
) -> list[Used]:
    """Return the addresses of the network `name` that are used.

    By the leases in `directories`, and by the attachments `found` on record.
    """
    holders = {(o.attachment.container_id, o.attachment.ifname): o for o in found}
    by_address: dict[str, Used] = {}
    for directory in directories:
        for lease in leases.of_network(directory, name):
            one = holders.get((lease.container_id, lease.ifname))
            doubt = _doubt(one, lease.container_id, found)
            names = called.get(lease.container_id, ("",))
            by_address[lease.address] = Used(*lease, names[-1], doubt)
    for one in found:
        at = one.attachment
        for text in one.addresses:
            address = text.partition("/")[0]
            doubt = "" if one.lives else _GONE
            names = called.get(at.container_id, ("",))
            since = max(attachments.written(t.plugin, at) for t in one.plugins)
            who = (at.container_id, at.ifname)
            new = Used(address, *who, since, names[-1], doubt)
            by_address.setdefault(address, new)
    return sorted(by_address.values(), key=lambda each: _order(each.address))


_GONE = "its network namespace is gone; `cnipy gc` frees the address"


def _doubt(one: Attached | None, container_id: str, found: Sequence[Attached]) -> str:
    if one is None:
        same = any(o.attachment.container_id == container_id for o in found)
        return "" if same else "nobody knows this container: no record tells of it"
    return "" if one.lives else _GONE


def pools(suite: Suite, network: Network, taken: Sequence[Used]) -> list[Pool]:
    """Return the range sets of the network; raises CNIError for keys that are wrong."""
    held = [ipaddress.ip_address(each.address) for each in taken]
    found = []
    for kind, conf in _leasing(network):
        document = {**conf, "name": network.name, "cniVersion": network.version}
        conf_of: Any = suite.plugin(kind).conf
        model = parse(conf_of, document, "network configuration")
        for each in model.range_sets():
            subnets = dict.fromkeys(str(item.subnet) for item in each.ranges)
            number = sum(address in each for address in held)
            found.append(Pool(str(each), tuple(subnets), each.size, number))
    return found


def directories(network: Network | None) -> list[str]:
    """Return where leases of a network may be."""
    found = [leases.DIRECTORY]
    for _, conf in _leasing(network) if network else ():
        ipam = gojson.member(conf, "ipam")
        told = gojson.member(ipam, "dataDir") if isinstance(ipam, dict) else None
        if isinstance(told, str) and told.startswith("/"):
            found.append(told)
    return list(dict.fromkeys(found))


def _leasing(network: Network) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the plugins of a list that ask one whose leases are files, and which."""
    for conf in network.plugins:
        ipam = gojson.member(conf, "ipam")
        kind = gojson.member(ipam, "type") if isinstance(ipam, dict) else None
        if kind in LEASING:
            yield kind, conf


def _order(address: str) -> tuple[int, int]:
    found = ipaddress.ip_address(address)
    return found.version, int(found)


def _instant(seconds: float) -> str:
    """Return a time as RFC 3339 has it, in UTC; nothing for one that is not known."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""
