# SPDX-License-Identifier: Apache-2.0
"""Packets between nodes: what the kernel has to know of a network's other nodes.

One function says what is wanted, one reads what is there, and the difference is carried
out; so the first fill, a change and a repair are the same. All of them act in the
calling thread's namespace, one at a time on a node.
"""

from __future__ import annotations

import binascii
from contextlib import contextmanager

from cni_common import state
from cni_common.kernel import forwarding
from cni_common.kernel.netlink import Netlink
from cni_common.kernel.wireguards import Wireguard
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import NamedTuple
from cnipy.net.dataplane import (
    device,
    first_address,
    present,
    private_key,
    wireguard_peers,
)
from cnipy.net.dataplane import difference as differing
from cnipy.net.dataplane import ground as grounds
from cnipy.net.dataplane.carrying import carry_out, outrun
from cnipy.net.dataplane.desired import NOTHING, desired
from cnipy.net.records import VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnipy.net.dataplane.present import Present
    from cnipy.net.dataplane.watch import Watch
    from cnipy.net.records import NetworkConfig, NodeRecord

_LOCK = "net-dataplane"


class Facts(NamedTuple):
    """What others have to know of this node's device, and how long a packet may be.

    `mac` is that of its VTEP (vxlan), `key` its public one (wireguard).
    """

    mac: str
    key: str
    mtu: int


class Outcome(NamedTuple):
    """What `apply` did, in sentences; what is wanted and not there, and why not; and
    whose routes to blocks of others go before ours.
    """

    done: Sequence[str] = ()
    lacking: Sequence[str] = ()
    outrun: Sequence[str] = ()


def prepare(config: NetworkConfig, own: NodeRecord) -> Facts:
    """Ensure the network's device, and that this node forwards; return its facts.

    Raises Code.INVALID_CONFIG where the node lacks what the backend needs, and
    Code.INTERNAL where the kernel refuses or lacks it.
    """
    with _locked() as netlink:
        wanted = _wanted(netlink, config, own)
        device.ensure(netlink, device.find(netlink, config), wanted)
        forwarding.enable(_versions(config))
        key = ""
        if config.backend == WIREGUARD:
            with Wireguard() as wireguard:
                public = wireguard.device(wanted.name).public_key
            key = binascii.b2a_base64(public, newline=False).decode()
        mac = wanted.mac if config.backend == VXLAN else ""
        return Facts(mac, key, wanted.mtu)


def apply(
    config: NetworkConfig,
    own: NodeRecord,
    others: Iterable[NodeRecord],
    watch: Watch | None = None,
    *,
    thorough: bool = False,
) -> Outcome:
    """Have the kernel know `others`, and nobody else, as far as that can be.

    Who is skipped or refused keeps nobody else out. What was there and is wanted loses
    no packet. What `watch` knows to be there is not read from the kernel, unless that
    refuses what follows from it. Of routes that go before ours those to new blocks are
    told, and with `thorough` all. Raises as `prepare`.
    """
    with _locked() as netlink:
        wanted = _wanted(netlink, config, own)
        done = device.ensure(netlink, device.find(netlink, config), wanted)
        changed = forwarding.enable(_versions(config))
        done += [f"set {name}, which was {before}" for name, before in changed]
        known = watch.there if watch and not done else None
        others = [*others]
        outcome, there = _applied(netlink, config, own, others, known, all_=thorough)
        if known and there is None:
            outcome, there = _applied(netlink, config, own, others, all_=thorough)
        if watch:
            watch.there = there
        return outcome._replace(done=[*done, *outcome.done])


def remove(config: NetworkConfig) -> None:
    """Remove the device, routes and nexthops of the network, and its private key.

    Absence is success. Forwarding stays on: others may need it. Raises Code.INTERNAL.
    """
    with _locked() as netlink:
        there = present.read(netlink, config, grounds.device_name(config))
        _, refused = carry_out(netlink, differing.steps(NOTHING, there, None))
        device.delete(netlink, config)
        private_key.delete(config)
        if refused:
            msg = f"remove network {config.name}: {refused[0]}"
            raise CNIError(Code.INTERNAL, msg)


@contextmanager
def _locked() -> Iterator[Netlink]:
    """Be the only one who changes these things on this node."""
    with state.lock(_LOCK), Netlink() as netlink:
        yield netlink


def _wanted(netlink: Netlink, config: NetworkConfig, own: NodeRecord) -> device.Wanted:
    is_wireguard = config.backend == WIREGUARD
    key = private_key.ensure(config) if is_wireguard else b""
    return device.wanted(config, own, grounds.read(netlink, config, own), key)


def _applied(  # noqa: PLR0913 - what is wanted, and of what
    netlink: Netlink,
    config: NetworkConfig,
    own: NodeRecord,
    others: Iterable[NodeRecord],
    known: Present | None = None,
    *,
    all_: bool,
) -> tuple[Outcome, Present | None]:
    """Carry out the difference; return what came of it, and what there is by now: None
    where something was refused.

    `known` is there. Of routes that go before ours `all_` are told.
    """
    link = device.find(netlink, config)
    name = grounds.device_name(config)
    there = known or present.read(netlink, config, name)
    ground = grounds.with_host(grounds.read(netlink, config, own), netlink, config)
    aim = desired(config, own, others, ground, there.standing())
    done = wireguard_peers.add(name, aim.peers, there.device.peers)
    todo = first_address.steps(aim.addresses, link) if link else []
    todo += differing.steps(aim, there, link)
    carried, refused = carry_out(netlink, todo)
    done += carried
    done += wireguard_peers.delete(name, aim.peers, there.device.peers)
    lacking = [f"refused: {each}" for each in refused]
    lacking += [f"skipped: {each}" for each in aim.skipped]
    added = [step.dst for step in todo if step.dst and step.needs]
    others_first = outrun(netlink, list(aim.nodes) if all_ else added, aim)
    left = None if refused else differing.afterwards(aim, there)
    return Outcome(done, lacking, others_first), left


def _versions(config: NetworkConfig) -> list[int]:
    return [pool.network.version for pool in config.pools]
