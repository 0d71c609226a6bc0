# SPDX-License-Identifier: Apache-2.0
"""What the demonstration shows, in the order in which it happens."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import CNIError
from cnipy import network as networks
from cnipy.attachment import Attachment, container_id_of
from cnipy.cache import Cache
from cnipy.demo.stage import ip, tool
from cnipy.demo.traffic import HOST, request, serve
from cnipy.invoke import Invoker
from cnipy.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnipy.network import Network

PUBLISHED = 8080
# Family -> our side of the uplink and the machine beyond it (RFC 5737, RFC 3849).
UPLINK = {4: ("192.0.2.1", "192.0.2.2", 24), 6: ("2001:db8::1", "2001:db8::2", 64)}
STATE = ("/run/cni", "/var/lib/cni")


@dataclass
class Checks:
    """What was seen to hold, or not to."""

    failed: list[str] = field(default_factory=list)

    def holds(self, sentence: str, *, good: bool, seen: str = "") -> None:
        """Print one line of the story, and remember a failure."""
        print(
            f"  {'PASS' if good else 'FAIL'}  {sentence}{f'  ({seen})' if seen else ''}"
        )
        if not good:
            self.failed.append(sentence)

    def succeeds(self, sentence: str, step: Callable[[], None]) -> None:
        """A verb does not fail."""
        try:
            step()
        except CNIError as error:
            self.holds(sentence, good=False, seen=str(error))
        else:
            self.holds(sentence, good=True)

    def answers(
        self, sentence: str, source: str, target: tuple[str, int], expected: str
    ) -> None:
        """A request gets through; `expected` is "NAME PEER", and PEER may be absent."""
        try:
            name, peer = request(source, *target)
        except OSError as error:
            self.holds(sentence, good=False, seen=str(error))
            return
        wanted_name, _, wanted_peer = expected.partition(" ")
        good = name == wanted_name and wanted_peer in {"", peer}
        self.holds(sentence, good=good, seen=f"{name} saw {peer}")


def tell(plugins: str, conf: str, env: Mapping[str, str]) -> int:
    """Attach, talk, look, detach; return 0 if everything held, else 1."""
    with open(conf, "rb") as file:
        network = networks.parse(file.read(), conf)
    path = tuple((env.get("CNI_PATH") or plugins).split(":"))
    runtime = Runtime(Invoker(path, env), Cache())
    checks = Checks()
    print(f"network {network.name} of {os.path.basename(conf)}, plugins in {path[0]}")
    outside, web, client = _build_world()
    before = _names_of_links()

    print("\nattach two containers, one with a published port")
    attachments = [_attachment(web, published=True), _attachment(client)]
    results = [runtime.add(network, attachment) for attachment in attachments]
    print(json.dumps(results[0], indent=2))

    addresses = [_addresses(result) for result in results]
    for version in sorted(addresses[0].keys() & addresses[1].keys()):
        pair = (addresses[0][version], addresses[1][version])
        _talk(checks, version, pair, (outside, web, client))

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
    _look_for_remains(checks, network, attachments, addresses, before)
    print(f"\n{'FAILED: ' + '; '.join(checks.failed) if checks.failed else 'all held'}")
    return 1 if checks.failed else 0


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


def _attachment(netns: str, *, published: bool = False) -> Attachment:
    mapping = {"hostPort": PUBLISHED, "containerPort": 80, "protocol": "tcp"}
    return Attachment(
        container_id=container_id_of(netns),
        netns=netns,
        ifname="eth0",
        capability_args={"portMappings": [mapping]} if published else {},
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


def _look_for_remains(
    checks: Checks,
    network: Network,
    attachments: list[Attachment],
    addresses: list[dict[int, str]],
    before: set[str],
) -> None:
    bridges = {str(plugin.get("bridge", "cni0")) for plugin in network.plugins}
    links = _names_of_links() - before - bridges
    checks.holds("no link is left", good=not links, seen=" ".join(sorted(links)))
    marks = [attachment.container_id for attachment in attachments]
    marks += [address for pair in addresses for address in pair.values()]
    rules = tool("nft", "list", "ruleset")
    named = [mark for mark in marks if mark in rules]
    checks.holds(
        "no nft rule or element names them", good=not named, seen=" ".join(named)
    )
    files = [file for file in _files() if _mentions(file, marks)]
    checks.holds(
        "no lease, record or result is left", good=not files, seen=" ".join(files)
    )
    for attachment in attachments:
        present = ip("-n", os.path.basename(attachment.netns), "-o", "link", "show")
        checks.holds(
            f"no link is left in {os.path.basename(attachment.netns)}",
            good="eth0" not in present,
        )
    kept = sorted(bridges & _names_of_links())
    kept += tool("nft", "list", "tables").splitlines()
    print(f"  what stays is the network's: {', '.join(kept) or 'nothing'}")


def _names_of_links() -> set[str]:
    return {link["ifname"] for link in json.loads(ip("-j", "link", "show"))}


def _files() -> list[str]:
    return [
        os.path.join(directory, name)
        for top in STATE
        for directory, _, names in os.walk(top)
        for name in names
    ]


def _mentions(file: str, marks: list[str]) -> bool:
    if "last_reserved_ip" in file:
        return False
    if os.path.islink(file):
        content = os.readlink(file)
    else:
        with open(file, "rb") as opened:
            content = opened.read().decode(errors="replace")
    return any(mark in content or mark in file for mark in marks)
