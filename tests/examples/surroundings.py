# SPDX-License-Identifier: Apache-2.0
"""What a machine has where an example belongs, and which kernel."""

from collections.abc import Callable

import pytest
from _pytest.mark.structures import ParameterSet

from tests.examples.lab import Lab
from tests.runtimes import web
from tests.runtimes.sandbox import need
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import plugin_directory

# What not every kernel has.
KERNEL = {
    "41-vlan.conflist": "vlan_filtering",
    "89-dummy.conflist": "dummy",
    "90-vlan.conflist": "802.1q",
    "91-ipvlan.conflist": "ipvlan",
    "94-vrf.conflist": "vrf",
    "95-tap.conflist": "tap",
}
# What the DHCP server of the local network has leased.
LEASES = "/run/lab/leases"
_KEEPER = "/run/cni/dhcp.sock"


def example(name: str, *values: object) -> ParameterSet:
    """Return an example, or `values`, marked with what it needs of the kernel.

    Each of those has a test of its own, which says enough of another kernel.
    """
    param = pytest.param(*(values or (name,)))
    if name not in KERNEL:
        return param
    needed = pytest.mark.needs_kernel(KERNEL[name])
    return pytest.param(*param.values, marks=(needed, pytest.mark.thorough))


def wire(lab: Lab) -> None:
    """The host has a device eth1, at whose other end 10.81.0.1 serves a page."""
    sandbox = lab.sandbox
    sandbox.run("ip", "netns", "add", "rack")
    words = ("type", "veth", "peer", "name", "eth0", "netns", "rack")
    sandbox.run("ip", "link", "add", "eth1", *words)
    sandbox.run("ip", "link", "set", "eth1", "up")
    sandbox.run("ip", "-n", "rack", "addr", "add", "10.81.0.1/24", "dev", "eth0")
    sandbox.run("ip", "-n", "rack", "link", "set", "eth0", "up")
    web.serve_page(sandbox, "rack")


def serve_leases(lab: Lab) -> None:
    """The local network has a DHCP server, and the host a keeper of leases."""
    need("dnsmasq")
    sandbox = lab.sandbox
    sandbox.run("ip", "-n", "client", "addr", "add", "10.88.0.1/24", "dev", "eth0")
    sandbox.run("mkdir", "-p", "/run/lab", "/run/cni")
    words = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-ping",
        "--port=0",
        "--pid-file=",
        "--user=root",
        "--interface=eth0",
        f"--dhcp-leasefile={LEASES}",
        "--dhcp-range=10.88.0.100,10.88.0.199,1h",
        "--dhcp-option=option:router,10.88.0.1",
    ]
    web.start(sandbox, "server", "client", 67, ["dnsmasq", *words])
    sandbox.start("keeper", str(plugin_directory() / "cnipy"), "dhcp")
    command = ["ss", "-Hlx", "src", _KEEPER]
    wait_for(lambda: bool(sandbox.run(*command).stdout), "keeper")


AROUND: dict[str, Callable[[Lab], None]] = {
    "81-host-device.conflist": wire,
    "88-dhcp.conflist": serve_leases,
}
