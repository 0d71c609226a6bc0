# SPDX-License-Identifier: Apache-2.0
"""The veth pair of an attachment: its two ends, and what the container's end has."""

from __future__ import annotations

from cni_common import layer3
from cni_common.kernel import bridges, links, sysctl

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.kernel.link_answer import Link
    from cni_common.sides import Sides
    from cni_common.spec.result import Result
    from cni_common.veth_pair import Pair
    from plugins.bridge.conf import BridgeConf


def add(side: Sides, bridge: Link, pair: Pair, conf: BridgeConf) -> None:
    """Have the pair, its host end a port of `bridge` with the flags of `conf`."""
    links.add_veth(
        side.host,
        pair.host,
        pair.container,
        side.namespace,
        host_mac=pair.host_mac,
        peer_mac=pair.mac,
        mtu=conf.mtu,
        master=bridge,
        alias=pair.alias,
    )
    if conf.hairpin_mode or conf.port_isolation:
        hairpin, isolated = conf.hairpin_mode, conf.port_isolation
        bridges.set_port(side.host, pair.host, hairpin=hairpin, isolated=isolated)
    sysctl.set_if_present(f"net/ipv6/conf/{pair.host}/accept_ra", "0")


def configure(side: Sides, pair: Pair, conf: BridgeConf, result: Result) -> None:
    """Have the container's end up with the addresses and routes of `result`."""
    layer3.configure(
        side,
        pair.container,
        result,
        detect_duplicates=conf.enabledad,
        await_carrier=lambda: links.wait_port_enabled(side.host, pair.host),
    )


def announce(side: Sides, pair: Pair) -> None:
    """Have the port open, and the neighbours know who has the addresses now.

    An address may have belonged to another container a moment ago, whose MAC the
    neighbours remember.
    """
    links.wait_port_enabled(side.host, pair.host)
    links.announce(side.container, links.existing(side.container, pair.container))
