# SPDX-License-Identifier: Apache-2.0
"""What the demonstration shows, in the order in which it happens."""

from __future__ import annotations

import ipaddress
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from cnipy.attachment import Attachment, container_id_of
from cnipy.cache import Cache
from cnipy.demo import remains
from cnipy.demo.checks import Checks
from cnipy.demo.stage import ip, tool
from cnipy.demo.traffic import HOST, serve
from cnipy.invoke import Invoker
from cnipy.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnipy.network import Network

PUBLISHED = 8080
# Family -> our side of the uplink and the machine beyond it (RFC 5737, RFC 3849).
UPLINK = {4: ("192.0.2.1", "192.0.2.2", 24), 6: ("2001:db8::1", "2001:db8::2", 64)}
ALIAS = "shop"


def tell(path: tuple[str, ...], network: Network, env: Mapping[str, str]) -> Checks:
    """Attach, talk, look, detach; return what was seen to hold, or not to."""
    runtime = Runtime(Invoker(path, env), Cache())
    checks = Checks()
    print(f"network {network.name}, plugins in {path[0]}")
    outside, web, client = _build_world()
    before = remains.names_of_links()

    print("\nattach two containers, one with a published port")
    attachments = [_attachment(web, network, published=True)]
    attachments.append(_attachment(client, network))
    results = [runtime.add(network, attachment) for attachment in attachments]
    print(json.dumps(results[0], indent=2))

    addresses = [_addresses(result) for result in results]
    for version in sorted(addresses[0].keys() & addresses[1].keys()):
        pair = (addresses[0][version], addresses[1][version])
        _talk(checks, version, pair, (outside, web, client))
    if "dnsname" in (plugin.get("type") for plugin in network.plugins):
        _look_up(checks, client, results[1], addresses[0])

    print("\nthe rules that do it (nft list ruleset)")
    print(tool("nft", "list", "ruleset"))
    if network.version not in {"0.1.0", "0.2.0", "0.3.0", "0.3.1"}:
        for attachment in attachments:
            name = os.path.basename(attachment.netns)
            checks.succeeds(
                f"CHECK {name}", partial(runtime.check, network, attachment)
            )

    print("\ndetach both containers")
    for attachment in attachments:
        name = os.path.basename(attachment.netns)
        checks.succeeds(f"DEL {name}", partial(runtime.delete, network, attachment))
    remains.look(checks, network, attachments, addresses, before)
    print(f"\n{'FAILED: ' + '; '.join(checks.failed) if checks.failed else 'all held'}")
    return checks


def _build_world() -> tuple[str, str, str]:
    """Two containers, and a machine outside that knows only the host's address."""
    os.makedirs("/run/netns")
    for name in ("outside", "web", "client"):
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    veth = ("type", "veth", "peer", "name", "eth0", "netns", "outside")
    ip("link", "add", "uplink", *veth)
    ip("link", "set", "uplink", "up")
    ip("-n", "outside", "link", "set", "eth0", "up")
    for ours, theirs, length in UPLINK.values():
        ip("address", "add", f"{ours}/{length}", "dev", "uplink", *_nodad(ours))
        there = ("-n", "outside", "address", "add", f"{theirs}/{length}")
        ip(*there, "dev", "eth0", *_nodad(theirs))
    outside, web, client = (f"/run/netns/{n}" for n in ("outside", "web", "client"))
    serve(outside, "outside")
    serve(web, "web")
    return outside, web, client


def _nodad(address: str) -> tuple[str, ...]:
    return ("nodad",) if ":" in address else ()


def _attachment(netns: str, network: Network, *, published: bool = False) -> Attachment:
    """Return what Podman would say of a container that is called like its namespace."""
    mapping = {"hostPort": PUBLISHED, "containerPort": 80, "protocol": "tcp"}
    asked = {"portMappings": [mapping], "aliases": {network.name: [ALIAS]}}
    return Attachment(
        container_id=container_id_of(netns),
        netns=netns,
        ifname="eth0",
        args=(("IgnoreUnknown", "1"), ("K8S_POD_NAME", os.path.basename(netns))),
        capability_args=asked if published else {},
    )


def _addresses(result: Mapping[str, Any]) -> dict[int, str]:
    """Return the first address of each family in a result."""
    found: dict[int, str] = {}
    for item in result.get("ips", []):
        address = ipaddress.ip_interface(item["address"]).ip
        found.setdefault(address.version, str(address))
    return found


def _talk(
    checks: Checks,
    version: int,
    pair: tuple[str, str],
    places: tuple[str, str, str],
) -> None:
    web_ip, client_ip = pair
    outside, web, client = places
    ours, theirs, _ = UPLINK[version]
    print(f"\nrequests over IPv{version}")
    direct = f"web {client_ip}"
    checks.answers("container to container", client, (web_ip, 80), direct)
    checks.answers("host to container", HOST, (web_ip, 80), "web")
    published = (ours, PUBLISHED)
    checks.answers("outside to published port", outside, published, f"web {theirs}")
    checks.answers("host to published port", HOST, published, "web")
    checks.answers("neighbour to published port", client, published, "web")
    checks.answers("container to its own published port", web, published, "web")
    masqueraded = f"outside {ours}"
    checks.answers(
        "container to outside, masqueraded", client, (theirs, 80), masqueraded
    )


def _look_up(
    checks: Checks, client: str, result: Mapping[str, Any], web: Mapping[int, str]
) -> None:
    """The neighbour asks the name servers of its own result."""
    dns = result["dns"]
    domain = dns["search"][0]
    for server in dns["nameservers"]:
        print(f"\nnames, asked of {server}")
        for name in ("web", ALIAS):
            for version, address in sorted(web.items()):
                question = (server, f"{name}.{domain}", address)
                checks.finds(f"{name} over IPv{version}", client, question)
