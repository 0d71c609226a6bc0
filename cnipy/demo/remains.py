# SPDX-License-Identifier: Apache-2.0
"""What is left of two containers that were detached: nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from cnipy.demo.stage import ip, tool

if TYPE_CHECKING:
    from cnipy.attachment import Attachment
    from cnipy.demo.checks import Checks
    from cnipy.network import Network

STATE = ("/run/cni", "/var/lib/cni")


def look(
    checks: Checks,
    network: Network,
    attachments: list[Attachment],
    addresses: list[dict[int, str]],
    before: set[str],
) -> None:
    """Look at links, rules, files and processes; `before` are the links of before."""
    bridges = {str(plugin.get("bridge", "cni0")) for plugin in network.plugins}
    links = names_of_links() - before - bridges
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
    running = [name for name in _commands() if name == "dnsmasq"]
    checks.holds("no dnsmasq is left", good=not running)
    kept = sorted(bridges & names_of_links())
    kept += tool("nft", "list", "tables").splitlines()
    print(f"  what stays is the network's: {', '.join(kept) or 'nothing'}")


def names_of_links() -> set[str]:
    """Return the names of the links of this namespace."""
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


def _commands() -> list[str]:
    """Return the base names of what runs here; what has ended has no arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                first = os.fsdecode(file.read().split(b"\0")[0])
        except OSError:
            continue
        found.append(os.path.basename(first))
    return found
