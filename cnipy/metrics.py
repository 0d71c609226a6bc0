# SPDX-License-Identifier: Apache-2.0
"""`cnipy metrics`: what calls counted, and what there is on the node at this moment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cni_common.frame import counters
from cni_common.published import counted, ledger
from cni_common.spec.values import NamedTuple
from cnipy import addresses, exposition, recorded, tree
from cnipy import network as networks
from cnipy.cluster import measured as measured_net
from cnipy.containers import Containers
from cnipy.exposition import Family
from cnipy.verb import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cni_common.frame.rollback import Gather
    from cni_common.published.ledger import Claims
    from cnipy.context import Context
    from cnipy.paper import Paper
    from cnipy.tree import Attached

_LINKS = "/proc/thread-self/net/dev"  # of our own namespace, wherever /sys is from


class Traffic(NamedTuple):
    """What a link has received and sent since it is there."""

    received: Sequence[int]  # bytes, packets, errors, dropped
    sent: Sequence[int]


class Metrics(Answer):
    """Families of measurements."""

    def __init__(self, families: Sequence[Family]) -> None:
        self.families = families

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield the lines that Prometheus reads, whatever the paper."""
        del paper
        return exposition.lines(self.families)

    def text(self) -> str:
        """Return the same in one."""
        return "".join(f"{line}\n" for line in exposition.lines(self.families))

    def document(self) -> list[dict[str, Any]]:
        """Return a list of the families."""
        return [each.document() for each in self.families if each.samples]


def measured(context: Context, errors: Gather) -> Metrics:
    """Return what there is to tell; what cannot be read `errors` has, and a number."""
    build = Family("cnipy_build_info", "gauge", "The release that tells this.")
    build.tell(1, version=context.suite.version)
    families = [build, *(errors.attempt(_calls) or ())]
    records = errors.attempt(recorded.recorded, context.suite, errors) or {}
    called = errors.attempt(Containers(context, records.values()).names) or {}
    attempt = errors.attempt(tree.attached, records.values(), called, compared=False)
    found: list[Attached] = attempt or []
    families += _attachments(found)
    families += _addresses(context, found, errors)
    claims = errors.attempt(ledger.load_all, errors) or {}
    families += _ports(claims)
    families += errors.attempt(_port_traffic, claims) or ()
    families += errors.attempt(_traffic, found) or ()
    families += measured_net.families(errors)
    unread = Family("cnipy_unreadable", "gauge", "Things that could not be read.")
    unread.tell(len(errors.raised))
    return Metrics([*families, unread])


def _calls() -> list[Family]:
    """Return what plugins counted of their calls and repairs; raises OSError."""
    calls = Family("cnipy_calls_total", "counter", "Calls of a plugin that ended.")
    failed = Family(
        "cnipy_call_errors_total", "counter", "Calls that ended with this error code."
    )
    took = Family(
        "cnipy_call_duration_seconds",
        "histogram",
        "Seconds that calls took, without the start of the process.",
    )
    repairs = Family(
        "cnipy_repairs_total", "counter", "Things that a living attachment lacked."
    )
    for name, numbers in counters.read().items():
        plugin, _, verb = name.rpartition(".")
        if verb == counters.REPAIR:
            for outcome in (counters.DONE, counters.FAILED):
                repairs.tell(numbers.get(outcome, 0), plugin=plugin, outcome=outcome)
            continue
        labels = {"plugin": plugin, "verb": verb}
        calls.tell(_tell_histogram(took, numbers, labels), **labels)
        for key, number in numbers.items():
            if key.startswith(counters.CODE):
                code = key.removeprefix(counters.CODE)
                failed.tell(number, **labels, code=code)
    return [calls, failed, took, repairs]


def _tell_histogram(
    family: Family, numbers: Mapping[str, int], labels: Mapping[str, str]
) -> int:
    """Tell how many calls took no longer than each bound; return the number of all."""
    total = 0
    for bound in counters.BOUNDS:
        total += numbers.get(f"{counters.WITHIN}{bound}", 0)
        family.tell(total, "_bucket", **labels, le=str(bound))
    total += numbers.get(counters.LONGER, 0)
    family.tell(total, "_bucket", **labels, le="+Inf")
    family.tell(numbers.get(counters.MICROSECONDS, 0) / 1e6, "_sum", **labels)
    family.tell(total, "_count", **labels)
    return total


def _attachments(found: Sequence[Attached]) -> list[Family]:
    there = Family("cnipy_attachments", "gauge", "Attachments on record.")
    dead = Family(
        "cnipy_attachments_dead",
        "gauge",
        "Those of them whose network namespace is gone.",
    )
    number = Counter(one.attachment.network for one in found)
    gone = Counter(one.attachment.network for one in found if not one.lives)
    for network in sorted(number):
        there.tell(number[network], network=network)
        dead.tell(gone[network], network=network)
    return [there, dead]


def _addresses(
    context: Context, found: Sequence[Attached], errors: Gather
) -> list[Family]:
    """Return how many addresses have been given of each network's ranges."""
    used = Family("cnipy_addresses_used", "gauge", "Addresses that somebody has.")
    free = Family("cnipy_addresses_free", "gauge", "Addresses that are left.")
    for network in networks.each(context.conf_directory, errors):
        name = network.name
        own = [one for one in found if one.attachment.network == name]
        where = addresses.directories(network)
        taken = errors.attempt(addresses.used, name, where, own, {}) or []
        pools = errors.attempt(addresses.pools, context.suite, network, taken)
        for pool in pools or ():
            labels = {"subnets": ",".join(pool.subnets), "ranges": pool.ranges}
            used.tell(pool.used, network=name, **labels)
            free.tell(pool.free, network=name, **labels)
    return [used, free]


def _ports(claims: Claims) -> list[Family]:
    family = Family("cnipy_published_ports", "gauge", "Ports of the host, published.")
    held = {
        (claim.attachment.network, port.protocol, port.number, claim.host_ip)
        for port in claims
        for claim in claims[port]
    }
    for (network, protocol), number in sorted(Counter(k[:2] for k in held).items()):
        family.tell(number, network=network, protocol=protocol)
    return [family]


def _port_traffic(claims: Claims) -> list[Family]:
    """Return what the ports of those have counted that count; raises CNIError."""
    meaning = (
        "through a published port, both directions apart, as the container sees it."
    )
    families = {
        what: Family(
            f"cnipy_published_port_{what}_total", "counter", f"{told} {meaning}"
        )
        for what, told in (("bytes", "Bytes"), ("packets", "Packets"))
    }
    owners = {
        (port, target.address): claim.attachment
        for port, held in claims.items()
        for claim in held
        for target in claim.targets
        if claim.counters
    }
    for count in counted.read() if owners else ():
        owner = owners.get((count.port, count.address))
        if owner is None:
            continue
        labels = {
            "network": owner.network,
            "container": owner.container_id,
            "ifname": owner.ifname,
            "protocol": count.port.protocol,
            "port": str(count.port.number),
            "address": count.address,
            "direction": _DIRECTIONS[count.way],
        }
        families["bytes"].tell(count.bytes, **labels)
        families["packets"].tell(count.packets, **labels)
    return list(families.values())


# The words of the counters of links, by those of the sets.
_DIRECTIONS = {"received": "receive", "sent": "transmit"}


def _traffic(found: Sequence[Attached]) -> list[Family]:
    """Return what went through the host's end of each container's link.

    What the host receives there the container has sent. Raises OSError.
    """
    families = {
        (way, what): Family(f"cnipy_container_{way}_{what}_total", "counter", meaning)
        for way in ("receive", "transmit")
        for what, (_, meaning) in _WHAT.items()
    }
    links = _links()
    for one in found:
        traffic = links.get(one.port) if one.lives else None
        if traffic is None:
            continue
        labels = {
            "network": one.attachment.network,
            "container": one.attachment.container_id,
            "ifname": one.attachment.ifname,
            "name": one.called[-1] if one.called else "",
            "port": one.port,
        }
        ways = (("receive", traffic.sent), ("transmit", traffic.received))
        for way, numbers in ways:
            for what, (column, _) in _WHAT.items():
                families[way, what].tell(numbers[column], **labels)
    return list(families.values())


# The column of /proc/net/dev.
_WHAT = {
    "bytes": (0, "Bytes through the container's interface, as it sees them."),
    "packets": (1, "Packets through the container's interface, as it sees them."),
    "dropped_packets": (3, "Packets that the host's end of its link has dropped."),
}
_COLUMNS = 8  # each way


def _links() -> dict[str, Traffic]:
    """Return the counters of each link of the host (proc_pid_net(5))."""
    found = {}
    with open(_LINKS, encoding="utf-8", errors="surrogateescape") as file:
        for line in file.readlines()[2:]:
            name, _, rest = line.rpartition(":")
            numbers = [int(each) for each in rest.split()]
            ways = numbers[:_COLUMNS], numbers[_COLUMNS : 2 * _COLUMNS]
            found[name.strip()] = Traffic(*ways)
    return found
