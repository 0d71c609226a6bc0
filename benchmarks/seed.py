# SPDX-License-Identifier: Apache-2.0
"""What other containers leave on a node, without running them.

    python -m benchmarks.seed KIND WHO COUNT

KIND is leases, mappings or containers, WHO "reference" or anything else for ours. On
the node there is one container already, so bridge, tables and chains exist.
"""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import conf, iptables
from cni_common import own_tables, state
from cni_common.attachment import record, shared
from cni_common.attachment.record import Record
from cni_common.naming import Attachment
from cni_common.parts.bridge import Bridge
from cni_common.parts.masqueraded import Masqueraded
from cni_common.parts.published_ports import PublishedPorts
from cni_common.parts.veth import Veth
from cni_common.published import elements, ledger, localnet, rules
from cni_common.published.claims import Claim, Port, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.kernel.own_table import Elements

LEASES, MAPPINGS, CONTAINERS = "leases", "mappings", "containers"
_DIRECTORY = Path("/var/lib/cni/networks") / conf.NETWORK
_FIRST_PORT = 1024
_DISABLE_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"


def main() -> None:
    """Do what the arguments say."""
    kind, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == LEASES:
        leases(count)
    elif who == "reference":
        seeds = list(others(count))
        write = iptables.mappings if kind == MAPPINGS else iptables.masquerades
        _run("iptables-restore", "--noflush", text=write(seeds))
    elif kind == MAPPINGS:
        mappings(count)
    else:
        users(count)
    if kind == CONTAINERS:
        ports(count)


def others(count: int) -> Iterator[iptables.Other]:
    """Yield containers behind the one that has the first address."""
    first = ipaddress.ip_address(conf.GATEWAY) + 2
    for number in range(count):
        at = str(first + number)
        yield iptables.Other(f"o{number}", at, _FIRST_PORT + number)


def leases(count: int) -> None:
    """The network's directory has `count` leases, and goes on behind them."""
    last = ""
    for other in others(count):
        last = other.address
        (_DIRECTORY / last).write_text(f"{other.container}\r\neth0", newline="")
    (_DIRECTORY / "last_reserved_ip.0").write_text(last)


def mappings(count: int) -> None:
    """`count` host ports are claimed, and in the kernel by one transaction."""
    contents: Elements = {}
    for other in others(count):
        port = Port("tcp", other.port)
        claim = Claim(
            host_ip="",
            network=conf.NETWORK,
            container_id=other.container,
            ifname="eth0",
            netns=f"/run/netns/{other.container}",
            identity="",
            container_port=conf.CONTAINER_PORT,
            targets=(Target(other.address, conf.BRIDGE),),
        )
        name = port.name
        directory = state.ensure_directory(ledger.CLAIMS)
        state.write(directory, name, [claim.document()])
        part = PublishedPorts.of_claims({port: [claim]})
        made = Record(netns=claim.netns, parts=(part,), complete=True)
        record.write(ledger.NAME, claim.attachment, made)
        shared.hold(f"{localnet.USERS}/{conf.BRIDGE}", claim.attachment.digest())
        had = elements.of_claims(port, [claim])
        own_tables.note(elements.TABLE, name, {}, had)
        contents |= had
    _run("nft", "-f", "-", text=rules.table().addition(contents))


def users(count: int) -> None:
    """`count` attachments have a record, and use the subnet's masquerading."""
    subnet = ipaddress.ip_network(conf.SUBNET)
    room = state.ensure_directory("masquerade", conf.SUBNET.replace("/", "_"))
    for number, other in enumerate(others(count)):
        owner = Attachment(conf.NETWORK, other.container, "eth0")
        link = f"veth-o{number}"
        parts = (
            Bridge(name=conf.BRIDGE),
            Veth(host=link, inside="eth0", bridge=conf.BRIDGE),
            Masqueraded(subnets=(subnet,)),
        )
        netns = f"/run/netns/{other.container}"
        made = Record(netns=netns, ipam="host-local", parts=parts)
        record.write("bridge", owner, made)
        state.write(room, owner.digest(), asdict(owner))


def ports(count: int) -> None:
    """The bridge has `count` more ports: veths whose other ends are elsewhere.

    They have no IPv6, or the kernel would be busy with duplicate address detection.
    """
    _run("ip", "netns", "add", "others")
    _run("tee", _DISABLE_IPV6, text="1")
    _run("ip", "netns", "exec", "others", "tee", _DISABLE_IPV6, text="1")
    made = "".join(
        f"link add veth-o{n} up master {conf.BRIDGE} type veth "
        f"peer name eth{n} netns others\n"
        for n in range(count)
    )
    _run("ip", "-batch", "-", text=made)
    up = "".join(f"link set eth{n} up\n" for n in range(count))
    _run("ip", "-n", "others", "-batch", "-", text=up)
    _run("tee", _DISABLE_IPV6, text="0")


def _run(*command: str, text: str = "") -> None:
    subprocess.run(command, input=text, text=True, check=True)


if __name__ == "__main__":
    main()
