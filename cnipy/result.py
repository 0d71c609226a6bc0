# SPDX-License-Identifier: Apache-2.0
"""What a result says, of any version of the specification, be it malformed."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.spec.fields import IPAddress


def addresses(result: object) -> frozenset[IPAddress]:
    """Return the addresses that were given; what is none counts as absent."""
    return frozenset(_addresses(result)) if isinstance(result, dict) else frozenset()


def namespace(result: object, ifname: str) -> str:
    """Return the path of the network namespace that has the interface, or nothing.

    A runtime may call a virtual machine there by another word than a path.
    """
    interfaces = result.get("interfaces") if isinstance(result, dict) else None
    for each in interfaces if isinstance(interfaces, list) else ():
        sandbox = each.get("sandbox") if isinstance(each, dict) else None
        is_path = isinstance(sandbox, str) and sandbox.startswith("/")
        if is_path and each.get("name") == ifname:
            return str(sandbox)
    return ""


def _addresses(result: dict[str, object]) -> Iterator[IPAddress]:
    ips = result.get("ips")
    written = [(each, "address") for each in (ips if isinstance(ips, list) else ())]
    written += [(result.get(key), "ip") for key in ("ip4", "ip6")]  # until 0.2.0
    for each, key in written:
        text = each.get(key) if isinstance(each, dict) else None
        with suppress(ValueError):
            if isinstance(text, str):
                yield ipaddress.ip_interface(text).ip
