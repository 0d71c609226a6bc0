# SPDX-License-Identifier: Apache-2.0
"""The list of a network of many nodes, as this node's runtimes read it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cni_common import naming, programs
from cni_common.frame.delegate import find
from cni_common.spec.errors import CNIError, Code
from cnipy import network as networks
from cnipy.lists import directory as directories
from cnipy.lists.composing import VERSION
from cnipy.net import names
from cnipy.net.agent import guard
from cnipy.net.records import OPEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cni_common.spec.fields import IPNetwork
    from cnipy.context import Context
    from cnipy.net.records import NetworkConfig

POOL = "cluster-pool"
_DEFAULT_ROUTES = {4: "0.0.0.0/0", 6: "::/0"}


def write(context: Context, config: NetworkConfig, mtu: int) -> str:
    """Have the network's list in the directory of configurations; return its path.

    One of the network that is there is as it was. Raises CNIError where the name or
    the bridge is another network's.
    """
    with directories.locked(context.conf_directory, create=True) as directory:
        found = file(context, config.name)
        if found:
            return found
        text = json.dumps(composed(context, config, mtu), indent=2) + "\n"
        endings = (*networks.LISTS, *networks.SINGLE)
        there = [e for e in os.listdir(directory.path) if e.endswith(endings)]
        name = directories.file_name(config.name, there)
        directory.write(name, text)
        return os.path.join(directory.path, name)


def file(context: Context, name: str) -> str:
    """Return the path of the network's list, nothing where it has none.

    Raises Code.INVALID_CONFIG where the name is that of a network of this node alone.
    """
    if not os.path.isdir(context.conf_directory):
        return ""
    for other, path in networks.listed(context.conf_directory):
        if other == name:
            network = networks.load(context.conf_directory, name)
            if POOL not in [_ipam(plugin) for plugin in network.plugins]:
                msg = f"join network {name}: {path} has the name"
                raise CNIError(Code.INVALID_CONFIG, msg, f"`cnipy network rm {name}`")
            return path
    return ""


def composed(context: Context, config: NetworkConfig, mtu: int) -> dict[str, Any]:
    """Return the list; `mtu` is that of the way to the other nodes."""
    pools = [pool.network for pool in config.pools]
    plugins: list[dict[str, Any]] = [
        {
            "type": "bridge",
            "bridge": naming.bridge_of(config.name),
            "isGateway": True,
            "gatewayPerSubnet": True,
            "ipMasq": True,
            "ipMasqExcept": [str(each) for each in pools],
            "hairpinMode": True,
            "mtu": mtu,
            "capabilities": {"ips": True, "mac": True},
            "ipam": {"type": POOL, "routes": _routes(pools)},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall", **_guard(config)},
    ]
    if config.domain and _has_names(context, config.name):
        named = {
            "domainName": config.domain,
            "domainServer": f"{names.ADDRESS}#{names.PORT}",
            "pools": [str(each) for each in pools],
        }
        capable = {"capabilities": {"aliases": True}}
        plugins.append({"type": "dnsname", **named, **capable})
    return {"cniVersion": VERSION, "name": config.name, "plugins": plugins}


def _routes(pools: Sequence[IPNetwork]) -> list[dict[str, str]]:
    return [{"dst": _DEFAULT_ROUTES[each.version]} for each in pools]


def _guard(config: NetworkConfig) -> dict[str, Any]:
    if config.policy == OPEN:
        return {}
    overlay = guard.overlay(config)
    return {
        "ingressPolicy": config.policy,
        "pools": [str(pool.network) for pool in config.pools],
        **({"overlayLink": overlay} if overlay else {}),
    }


def _has_names(context: Context, name: str) -> bool:
    try:
        find("dnsname", context.plugin_path)
        programs.find("dnsmasq", "dnsmasq-base", context.env)
    except CNIError as error:
        context.tell(f"warning: containers of {name} will have no names: {error}")
        return False
    return True


def _ipam(plugin: dict[str, Any]) -> str:
    ipam = plugin.get("ipam")
    return str(ipam.get("type", "")) if isinstance(ipam, dict) else ""
