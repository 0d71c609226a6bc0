# SPDX-License-Identifier: Apache-2.0
"""A node that the distribution's reference plugins serve, with iptables."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from typing import Any

from lab import Host, Space, run

NETWORK = "blue"


@dataclass
class Reference:
    """The reference plugins of the distribution, with one variant of iptables."""

    host: Host
    bin: str
    env: dict[str, str]
    variant: str

    def attach(
        self, container_id: str, port: int, ifname: str = "eth0", *, snat: bool = True
    ) -> list[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
        """Run ADD of bridge with ipMasq, and of portmap; return the addresses."""
        space = self.space(container_id)
        bridge: dict[str, Any] = {
            "cniVersion": "1.0.0",
            "name": NETWORK,
            "bridge": "br-blue",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.9.8.0/24"}], [{"subnet": "fd00:98::/64"}]],
            },
        }
        result = self.call("bridge", bridge, container_id, space, ifname)
        mappings = [
            {"hostPort": port, "containerPort": 80, "protocol": protocol}
            for protocol in ("tcp", "udp")
        ]
        portmap = {
            "cniVersion": "1.0.0",
            "name": NETWORK,
            "snat": snat,
            "runtimeConfig": {"portMappings": mappings},
            "prevResult": result,
        }
        self.call("portmap", portmap, container_id, space, ifname)
        return [ipaddress.ip_interface(a["address"]) for a in result["ips"]]

    def space(self, container_id: str) -> Space:
        """Return the container's namespace, the same one for each attachment."""
        named = [s for s in self.host.spaces if s.name.startswith(f"{container_id}-")]
        return named[0] if named else self.host.space(container_id)

    def call(
        self, plugin: str, conf: dict[str, Any], cid: str, space: Space, ifname: str
    ) -> Any:
        """Return the result of ADD."""
        env = {
            **self.env,
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": cid,
            "CNI_NETNS": space.path,
            "CNI_IFNAME": ifname,
            "CNI_PATH": self.bin,
        }
        stdin = json.dumps({**conf, "type": plugin})
        return json.loads(run(os.path.join(self.bin, plugin), input=stdin, env=env))

    def rules(self) -> list[str]:
        """Return the nat tables of both families as iptables-save tells them."""
        saved = ""
        for family in ("iptables", "ip6tables"):
            saved += run(f"{family}-{self.variant}-save", "-t", "nat")
        lines = (line.partition(" [")[0] for line in saved.splitlines())
        return [line for line in lines if line[:1] in (":", "-") and "CNI-" in line]
