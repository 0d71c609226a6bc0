# SPDX-License-Identifier: Apache-2.0
"""What is on a host of containers, and what there may be without any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.releases.observed import HOST, world

if TYPE_CHECKING:
    from lab import Space

Document = dict[str, Any]
# What host-local keeps for the next ADD, and files that only are there to be locked.
_KEPT = re.compile(
    r"/run/cni/cnipy/locks/.*|/var/lib/cni/networks/[^/]+/(lock|last_reserved_ip\.\d+)"
)
# The host goes on forwarding; who else relies on it cannot be told.
_FORWARDING = re.compile(
    r"ipv4/ip_forward|ipv[46]/conf/[^/]+/(forwarding|accept_(ra|redirects))"
)


def on_host(space: Space) -> Document:
    """Return what there is of containers on the host, and what is written down."""
    found = world({HOST: space})
    rules = {**found["iptables"], "nft": found["rules"]}
    return {
        **without_bridges(found["spaces"][HOST]),
        "rules": [line for lines in rules.values() for line in lines if is_rule(line)],
        "files": [path for path in found["files"] if is_record(path)],
    }


def without_bridges(host: Document) -> Document:
    """Return links, addresses and parameters of a host, as they are without bridges.

    A bridge stays, with its gateway address, for containers to come.
    """
    bridges = [link["name"] for link in host["links"] if link.get("kind") == "bridge"]
    links = [link for link in host["links"] if link["name"] not in bridges]
    addresses = host.get("addresses", [])
    parameters = host.get("parameters", {})
    return {
        "links": sorted(link["name"] for link in links),
        "settings": {link["name"]: _settings(link) for link in links},
        "addresses": [each for each in addresses if each[0] not in bridges],
        "parameters": {
            path: parameters[path]
            for path in parameters
            if not _FORWARDING.fullmatch(path)
            and (path.endswith("route_localnet") or path.split("/")[-2] not in bridges)
        },
        "queues": host.get("queues", []),
    }


def _settings(link: Document) -> Document:
    """Return what a link has, but for the index, which nobody can give back."""
    return {key: link[key] for key in link if key not in {"index", "other"}}


def is_rule(line: str) -> bool:
    """Tell whether a line is more than a table of iptables with its own chains."""
    return not re.match(r"\*|COMMIT|:[A-Z]+ (ACCEPT|DROP) ", line)


def is_record(path: str) -> bool:
    """Tell whether a file is of an attachment."""
    return not path.endswith("/") and not _KEPT.fullmatch(path)
