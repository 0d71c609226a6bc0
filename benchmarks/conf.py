# SPDX-License-Identifier: Apache-2.0
"""The network that is measured, in the words of each peer."""

from __future__ import annotations

from typing import Any

NETWORK, BRIDGE = "bench", "cni-bench"
SUBNET, GATEWAY = "10.88.0.0/16", "10.88.0.1"
# The newest version that Debian's reference plugins speak.
VERSION = "1.0.0"
CONTAINER_PORT = 80
# Beyond those of the mappings that stand for other containers.
FIRST_PORT = 62000


def bridge() -> dict[str, Any]:
    """A bridge that masquerades, with addresses of host-local."""
    return {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "ipam": host_local()["ipam"],
    }


def host_local() -> dict[str, Any]:
    """Addresses of one range."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": SUBNET, "gateway": GATEWAY}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"type": "host-local", "ipam": ipam}


def portmap(port: int | None) -> dict[str, Any]:
    """One published port, or none; only what a runtime adds in addition."""
    mapping = {"hostPort": port, "containerPort": CONTAINER_PORT, "protocol": "tcp"}
    return {
        "type": "portmap",
        "runtimeConfig": {"portMappings": [mapping] if port else []},
    }


def single(plugin: dict[str, Any], previous: Any = None) -> dict[str, Any]:
    """Return the document for calling one plugin alone."""
    document = {"cniVersion": VERSION, "name": NETWORK, **plugin}
    return document if previous is None else {**document, "prevResult": previous}


def chain() -> dict[str, Any]:
    """Return the network configuration list for libcni."""
    published = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": VERSION, "name": NETWORK, "plugins": [bridge(), published]}


def attached(address: str, netns: str) -> dict[str, Any]:
    """Return what bridge would have answered for a container with `address`."""
    return {
        "cniVersion": VERSION,
        "interfaces": [{"name": "eth0", "sandbox": netns}],
        "ips": [{"interface": 0, "address": f"{address}/16", "gateway": GATEWAY}],
        "dns": {},
    }


def netavark(container: str, address: str, port: int) -> dict[str, Any]:
    """Return the same network as Podman describes it to netavark; no DNS."""
    network = {
        "name": NETWORK,
        "id": f"{0xBE:064x}",
        "driver": "bridge",
        "network_interface": BRIDGE,
        "subnets": [{"subnet": SUBNET, "gateway": GATEWAY}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }
    mapping = {
        "host_ip": "",
        "host_port": port,
        "container_port": CONTAINER_PORT,
        "protocol": "tcp",
        "range": 1,
    }
    return {
        "container_id": container,
        "container_name": container,
        "port_mappings": [mapping],
        "networks": {NETWORK: {"interface_name": "eth0", "static_ips": [address]}},
        "network_info": {NETWORK: network},
    }
