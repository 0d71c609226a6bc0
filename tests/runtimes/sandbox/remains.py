# SPDX-License-Identifier: Apache-2.0
"""What the kernel and the disk still hold of containers, seen with ip and nft."""

import re
from pathlib import Path

from tests.runtimes.sandbox.machine import Sandbox

NETWORKS = "/var/lib/cni/networks"
CACHES = ("/var/lib/cni/results", "/run/cni")
NOBODYS = frozenset({"locks", "host-local"})
OWN_LINKS = frozenset({"eth0"})
OWN_NETNS = frozenset({"client"})


def mentions(text: str, words: tuple[str, ...]) -> list[str]:
    """Return the lines in which one of the words stands on its own."""
    if not words:
        return []
    pattern = "|".join(rf"(?<![\w.]){re.escape(word)}(?!\.?\w)" for word in words)
    return [line.strip() for line in text.splitlines() if re.search(pattern, line)]


def rules(sandbox: Sandbox, *words: str) -> list[str]:
    """Return the lines of the ruleset about these addresses, ports or containers."""
    return mentions(sandbox.run("nft", "list", "ruleset").stdout, words)


def veths(sandbox: Sandbox) -> list[str]:
    """Return the veth links on the host side, the sandbox's own ones apart."""
    links = sandbox.json("ip", "-j", "link", "show", "type", "veth")
    return sorted(link["ifname"] for link in links if link["ifname"] not in OWN_LINKS)


def layout(sandbox: Sandbox, netns: str | None = None) -> list[str]:
    """Return links and addresses, without what carriers change some time later."""
    late = {"NO-CARRIER", "LOWER_UP"}
    return [
        f"{link['ifname']} {link.get('address')} {link.get('master')} {link['mtu']} "
        f"{sorted(set(link['flags']) - late)} {address}"
        for link in sandbox.json("ip", "-j", "address", "show", netns=netns)
        for address in sorted(
            f"{held['local']}/{held['prefixlen']}"
            for held in link["addr_info"]
            if held["scope"] != "link"
        )
        or [""]
    ]


def leases(sandbox: Sandbox, network: str = "*") -> list[str]:
    """Return the addresses that host-local's default directory holds."""
    found = sandbox.path(NETWORKS).glob(f"{network}/*")
    return sorted(path.name for path in found if re.match(r"[\da-f]+[.:]", path.name))


def records(sandbox: Sandbox, *words: str) -> list[str]:
    """Return result cache entries and records that name or contain the words."""
    return [
        f"{directory}/{path.name}"
        for directory in CACHES
        for path in sorted(sandbox.path(directory).rglob("*"))
        if path.is_file() and mentions(f"{path.name}\n{content(path)}", words)
    ]


def attachments(sandbox: Sandbox) -> list[str]:
    """Return all files that stand for an attachment: results and records.

    Locks and the side index of host-local belong to nobody.
    """
    return [
        str(path.relative_to(sandbox.root))
        for directory in CACHES
        for path in sorted(sandbox.path(directory).rglob("*"))
        if path.is_file() and not set(path.parts) & NOBODYS
    ]


def elements(sandbox: Sandbox) -> list[str]:
    """Return the elements of all sets and maps of the ruleset."""
    ruleset = sandbox.json("nft", "-j", "list", "ruleset")["nftables"]
    kinds = [item[kind] for item in ruleset for kind in ("set", "map") if kind in item]
    return [
        f"{kind['table']} {kind['name']} {element}"
        for kind in kinds
        for element in kind.get("elem", [])
    ]


def content(path: Path) -> str:
    """Return the text of a file, whatever its bytes are."""
    return path.read_bytes().decode(errors="replace")


def named_netns(sandbox: Sandbox) -> list[str]:
    """Return the named network namespaces, the outside client's apart."""
    found = {path.name for path in sandbox.path("/run/netns").iterdir()}
    return sorted(found - OWN_NETNS)


def everything(sandbox: Sandbox, *words: str) -> list[str]:
    """Return all that is left: links, leases, rules, records, named namespaces."""
    return [
        *veths(sandbox),
        *leases(sandbox),
        *rules(sandbox, *words),
        *records(sandbox, *words),
        *named_netns(sandbox),
    ]
