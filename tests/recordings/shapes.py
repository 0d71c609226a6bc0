# SPDX-License-Identifier: Apache-2.0
"""What the specification says about a result of each version, section 5."""

import ipaddress
from typing import Any

Document = dict[str, Any]
TOP = {"cniVersion", "interfaces", "ips", "routes", "dns"}
WITH_FAMILY = ("0.3.0", "0.3.1", "0.4.0")


def faults(result: Document, version: str, netns: str, *, ipam: bool) -> list[str]:
    """Return what is wrong with a result of version 0.3.0 or later."""
    found = [f"key {key}" for key in sorted(set(result) - TOP)]
    if result.get("cniVersion") != version:
        found.append(f"cniVersion {result.get('cniVersion')}")
    interfaces = result.get("interfaces", [])
    if ipam and interfaces:
        found.append("interfaces in the result of an IPAM plugin")
    found += [fault for i in interfaces for fault in interface_faults(i, netns)]
    for entry in result.get("ips", []):
        found += address_faults(entry, version)
        found += index_faults(entry, 0 if ipam else len(interfaces))
    for route in result.get("routes", []):
        found += route_faults(route)
    return found


def interface_faults(interface: Document, netns: str) -> list[str]:
    """Return what is wrong with one interface."""
    found = [] if interface.get("name") else ["interface without name"]
    if interface.get("sandbox", "") not in ("", netns):
        found.append(f"sandbox {interface['sandbox']}")
    return found


def address_faults(entry: Document, version: str) -> list[str]:
    """Return what is wrong with the address and its family."""
    address = ipaddress.ip_interface(entry["address"])
    family = str(address.version) if version in WITH_FAMILY else None
    found = [] if "/" in entry["address"] else [f"no prefix: {address}"]
    if entry.get("version") != family:
        found.append(f"version {entry.get('version')} of {address} in {version}")
    if "gateway" in entry:
        ipaddress.ip_address(entry["gateway"])
    return found


def index_faults(entry: Document, interfaces: int) -> list[str]:
    """Return what is wrong with the index; an IPAM plugin must not give any."""
    if interfaces == 0:
        return ["interface index"] if "interface" in entry else []
    valid = entry.get("interface") in range(interfaces)
    return [] if valid else [f"interface index {entry.get('interface')}"]


def route_faults(route: Document) -> list[str]:
    """Return what is wrong with one route."""
    ipaddress.ip_network(route["dst"])
    if "gw" in route:
        ipaddress.ip_address(route["gw"])
    return []
