# SPDX-License-Identifier: Apache-2.0
"""The list of a new network, plugin by plugin, as the words ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common import naming

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cnipy.lists.wanted import Range

# What runtimes of all ages speak (conf-examples/README.md).
VERSION = "1.0.0"
_DEFAULT_ROUTES = {4: "0.0.0.0/0", 6: "::/0"}


def composed(
    options: argparse.Namespace, ranges: Sequence[Range], *, domain: str | None
) -> dict[str, Any]:
    """Return the list; `domain` is that of names, None for a network without."""
    plugins = [_LINKS[options.driver](options, ranges)]
    if options.driver in _HOSTS:
        plugins += _chained(options, domain)
    return {"cniVersion": VERSION, "name": options.name, "plugins": plugins}


def _bridge(options: argparse.Namespace, ranges: Sequence[Range]) -> dict[str, Any]:
    return {
        "type": "bridge",
        "bridge": options.bridge or naming.bridge_of(options.name),
        "isGateway": True,
        "ipMasq": _masquerades(options),
        "hairpinMode": True,
        **_mtu(options),
        "capabilities": {"ips": True, "mac": True},
        "ipam": _ipam(options, ranges),
    }


def _ptp(options: argparse.Namespace, ranges: Sequence[Range]) -> dict[str, Any]:
    return {
        "type": "ptp",
        "ipMasq": _masquerades(options),
        **_mtu(options),
        "capabilities": {"ips": True, "mac": True},
        "ipam": _ipam(options, ranges),
    }


def _on_link(options: argparse.Namespace, ranges: Sequence[Range]) -> dict[str, Any]:
    mac = {"mac": True} if options.driver == "macvlan" else {}
    ips = {"ips": True} if ranges else {}
    return {
        "type": options.driver,
        **({"master": options.parent} if options.parent else {}),
        **({"mode": options.mode} if options.mode else {}),
        **_mtu(options),
        **({"capabilities": ips | mac} if ips | mac else {}),
        "ipam": _ipam(options, ranges) if ranges else {"type": "dhcp"},
    }


def _chained(options: argparse.Namespace, domain: str | None) -> list[dict[str, Any]]:
    """Return what stands behind the plugin that makes the link."""
    found: list[dict[str, Any]] = []
    if not options.internal:
        found.append({"type": "portmap", "capabilities": {"portMappings": True}})
    isolated = "isolated" if options.isolate_containers else ""
    policy = isolated or ("same-bridge" if options.isolate else "")
    guard = {"ingressPolicy": policy} if policy else {}
    found.append({"type": "firewall", **guard})
    if options.bandwidth:
        found.append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
    if domain is not None:
        named = {"domainName": domain, "capabilities": {"aliases": True}}
        found.append({"type": "dnsname", **named})
    return found


def _ipam(options: argparse.Namespace, ranges: Sequence[Range]) -> dict[str, Any]:
    ipam: dict[str, Any] = {
        "type": "host-local",
        "ranges": [[_range(each)] for each in ranges],
    }
    if not options.internal:
        versions = [each.subnet.version for each in ranges]
        ipam["routes"] = [{"dst": _DEFAULT_ROUTES[version]} for version in versions]
    return ipam


def _range(each: Range) -> dict[str, str]:
    ends = {"rangeStart": each.first, "rangeEnd": each.last}
    told = {key: str(value) for key, value in ends.items() if value is not None}
    gateway = each.gateway or each.subnet.network_address + 1
    return {"subnet": str(each.subnet), **told, "gateway": str(gateway)}


def _masquerades(options: argparse.Namespace) -> bool:
    return not (options.internal or options.no_masquerade)


def _mtu(options: argparse.Namespace) -> dict[str, int]:
    return {} if options.mtu is None else {"mtu": options.mtu}


_HOSTS = ("bridge", "ptp")
_LINKS = {"bridge": _bridge, "ptp": _ptp, "macvlan": _on_link, "ipvlan": _on_link}
