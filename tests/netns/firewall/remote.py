# SPDX-License-Identifier: Apache-2.0
"""A second node whose containers are of the same networks, made with `ip` alone.

The host's pools are those of its bridges, widened: br0 has 10.1.0.0/24 of 10.1.0.0/16.
The other node has 10.1.1.0/24, and so on, on bridges of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab import run
from netns.portmap.helpers import NODE, set_parameter

if TYPE_CHECKING:
    from lab import Host, Space

THERE, THERE6 = "198.51.100.2", "2001:db8:99::2"


def pools(which: int) -> list[str]:
    """Return the pools of the network of br0 (1) or br1 (2)."""
    return [f"10.{which}.0.0/16", f"fd0{which}::/48"]


def at(which: int, number: int = 2) -> tuple[str, str]:
    """Return both addresses of a container of the other node."""
    return f"10.{which}.1.{number}", f"fd0{which}:0:0:1::{number}"


def keys(which: int, policy: str, *, overlay: bool) -> dict[str, Any]:
    """Return the keys of firewall for the network of br0 (1) or br1 (2)."""
    link = {"overlayLink": f"ov{which}"} if overlay else {}
    return {"ingressPolicy": policy, "pools": pools(which), **link}


class Remote:
    """The other node, beyond the host's uplink: `space` is the host's outside."""

    def __init__(self, host: Host, space: Space, *, overlay: bool) -> None:
        self.host, self.space = host, space
        with space.entered():
            set_parameter("ipv6/conf/default/accept_dad", "0")
            for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                set_parameter(name, "1")
        for which in (1, 2):
            if overlay:
                self._overlay(which)
            else:
                run("ip", "route", "add", f"10.{which}.1.0/24", "via", THERE)
                run("ip", "route", "add", f"fd0{which}:0:0:1::/64", "via", THERE6)

    def _overlay(self, which: int) -> None:
        """Join both nodes by a tunnel of their own for one network."""
        ends = ((None, NODE, THERE, 0, 1), (self.space.name, THERE, NODE, 1, 0))
        for name, own, peer, here, there in ends:
            ip = ("ip", *(("-n", name) if name else ()))
            link = f"ov{which}"
            tunnel = ("id", str(which), "local", own, "remote", peer, "dstport", "4789")
            run(*ip, "link", "add", link, "type", "vxlan", *tunnel)
            # Not the first, to which a kernel before 5.14 answers no request for it.
            run(*ip, "addr", "add", f"10.{which}.{here}.254/32", "dev", link)
            six = f"fd0{which}:0:0:{here}:8000::"
            run(*ip, "addr", "add", f"{six}/128", "dev", link, "nodad")
            run(*ip, "link", "set", link, "up")
            for route in (
                (f"10.{which}.{there}.0/24", f"10.{which}.{there}.254"),
                (f"fd0{which}:0:0:{there}::/64", f"fd0{which}:0:0:{there}:8000::"),
            ):
                to, via = route
                run(*ip, "route", "add", to, "via", via, "dev", link, "onlink")

    def container(self, which: int, number: int = 2) -> Space:
        """Return one of the other node, in the network of br0 (1) or br1 (2)."""
        space, bridge = self.host.space(), f"br{which - 1}"
        with space.entered():
            set_parameter("ipv6/conf/default/accept_dad", "0")
        ip, inside = ("ip", "-n", self.space.name), ("ip", "-n", space.name)
        gateways = f"10.{which}.1.1", f"fd0{which}:0:0:1::1"
        if run(*ip, "link", "show", bridge, check=False) == "":
            mac = ("address", f"02:00:00:00:b1:{which:02x}")
            run(*ip, "link", "add", bridge, *mac, "type", "bridge")
            run(*ip, "addr", "add", f"{gateways[0]}/24", "dev", bridge)
            run(*ip, "addr", "add", f"{gateways[1]}/64", "dev", bridge, "nodad")
            run(*ip, "link", "set", bridge, "up")
        port = f"p{which}{number}"
        peer = ("peer", "name", "eth0", "netns", space.name)
        run(*ip, "link", "add", port, "type", "veth", *peer)
        run(*ip, "link", "set", port, "master", bridge, "up")
        run(*inside, "link", "set", "lo", "up")
        four, six = at(which, number)
        run(*inside, "addr", "add", f"{four}/24", "dev", "eth0")
        run(*inside, "addr", "add", f"{six}/64", "dev", "eth0", "nodad")
        run(*inside, "link", "set", "eth0", "up")
        for version, via in zip(("-4", "-6"), gateways, strict=True):
            run("ip", version, *inside[1:], "route", "add", "default", "via", via)
        for target in (gateways[1], f"fd0{which}::1"):
            # Who has a new IPv6 address is reached soon, not by the first packet.
            assert any(space.reaches(target) for _ in range(5))
        return space
