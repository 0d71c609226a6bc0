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
from cnipy.net.dataplane import device, peers, present, private_key, words
from cnipy.net.dataplane import difference as differing
from cnipy.net.dataplane import ground as grounds
from cnipy.net.dataplane.carrying import REFUSED, carry_out, outrun
from cnipy.net.dataplane.desired import NOTHING, desired
from cnipy.net.records import VXLAN, WIREGUARD

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cnipy.net.dataplane.desired import Desired
    from cnipy.net.dataplane.present import Present
    from cnipy.net.records import NetworkConfig, NodeRecord

_LOCK = "net-dataplane"
_STATES = {
    differing.ADD: "missing",
    differing.REPLACE: "differs",
    differing.DELETE: "stale",
}


class Facts(NamedTuple):
    """What others have to know of this node's device, and how long a packet may be.

    `mac` is that of its VTEP (vxlan), `key` its public one (wireguard).
    """

    mac: str
    key: str
    mtu: int


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
    config: NetworkConfig, own: NodeRecord, others: Iterable[NodeRecord]
) -> list[str]:
    """Have the kernel know `others`, and nobody else; return what was done.

    Among these is who was skipped or refused, and why: the rest is there all the same.
    What was there and is wanted loses no packet. Raises as `prepare`.
    """
    with _locked() as netlink:
        wanted = _wanted(netlink, config, own)
        done = device.ensure(netlink, device.find(netlink, config), wanted)
        changed = forwarding.enable(_versions(config))
        done += [f"set {name} to 1" for name, _ in changed]
        link = device.find(netlink, config)
        there, aim = _compared(netlink, config, own, others)
        done += peers.add(wanted.name, aim.peers, there.peers)
        todo = differing.steps(aim, there, link)
        done += carry_out(netlink, todo)
        done += peers.delete(wanted.name, aim.peers, there.peers)
        added = [step.dst for step in todo if step.dst and step.needs]
        done += outrun(netlink, added, aim)
        return done + [f"skipped {each}" for each in aim.skipped]


def differences(
    config: NetworkConfig, own: NodeRecord, others: Iterable[NodeRecord]
) -> list[str]:
    """Return in sentences what `apply` would do, and which routes of others go first.

    Raises as `prepare`.
    """
    with _locked() as netlink:
        wanted = _wanted(netlink, config, own)
        link = device.find(netlink, config)
        found = device.flaws(netlink, link, wanted)
        found += [
            f"forwarding of IPv{version} is off"
            for version in _versions(config)
            if not forwarding.is_enabled(version)
        ]
        if link is None:
            return found
        there, aim = _compared(netlink, config, own, others)
        unknown = peers.missing(aim.peers, there.peers)
        found += [f"missing: {words.peer(each)}" for each in unknown]
        todo = differing.steps(aim, there, link)
        found += [f"{_STATES[step.verb]}: {step.what}" for step in todo]
        surplus = peers.surplus(aim.peers, there.peers)
        found += [f"stale: {each}" for each in surplus]
        found += outrun(netlink, list(aim.nodes), aim)
        return found + [f"skipped {each}" for each in aim.skipped]


def remove(config: NetworkConfig) -> None:
    """Remove the device, routes and nexthops of the network, and its private key.

    Absence is success. Forwarding stays on: others may need it. Raises Code.INTERNAL.
    """
    with _locked() as netlink:
        there = present.read(netlink, config, grounds.device_name(config))
        refused = carry_out(netlink, differing.steps(NOTHING, there, None))
        device.delete(netlink, config)
        private_key.delete(config)
        left = [each for each in refused if each.startswith(REFUSED)]
        if left:
            raise CNIError(Code.INTERNAL, f"remove network {config.name}: {left[0]}")


@contextmanager
def _locked() -> Iterator[Netlink]:
    """Be the only one who changes these things on this node."""
    with state.lock(_LOCK), Netlink() as netlink:
        yield netlink


def _wanted(netlink: Netlink, config: NetworkConfig, own: NodeRecord) -> device.Wanted:
    is_wireguard = config.backend == WIREGUARD
    key = private_key.ensure(config) if is_wireguard else b""
    return device.wanted(config, own, grounds.read(netlink, config, own), key)


def _compared(
    netlink: Netlink,
    config: NetworkConfig,
    own: NodeRecord,
    others: Iterable[NodeRecord],
) -> tuple[Present, Desired]:
    """Return what there is, and what is wanted."""
    ground = grounds.read(netlink, config, own)
    there = present.read(netlink, config, ground.name)
    return there, desired(config, own, others, ground, there.standing())


def _versions(config: NetworkConfig) -> list[int]:
    return [pool.network.version for pool in config.pools]
