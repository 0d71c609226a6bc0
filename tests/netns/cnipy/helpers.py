# SPDX-License-Identifier: Apache-2.0
"""An operator at a node: networks, containers that plugins attach, and the command."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

from cnipy.attachment import container_id_of
from cnipy.keeper.outlook import keepers
from cnipy.main import main
from cnipy.suite import Suite
from launcher import keys, probe
from launcher.loading import load
from plugins import REGISTER, versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space


# A network with both families, and who publishes ports in it.
BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.9.0.0/24"}], [{"subnet": "fd09::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}
PORTMAP: dict[str, Any] = {"type": "portmap", "capabilities": {"portMappings": True}}


def attachment_words(network: str, space: Space) -> str:
    """Return how the command calls the attachment of a container."""
    return f"{network} {container_id_of(space.path)}/eth0"


def mappings(ports: list[int], host_ip: str = "") -> list[dict[str, Any]]:
    """Return what a runtime says that wants TCP ports of the host to lead to 80."""
    wanted = {"containerPort": 80, "protocol": "tcp", "hostIP": host_ip}
    return [{"hostPort": port, **wanted} for port in ports]


def refused(*arguments: object) -> Any:
    """Stand for what no verb here asks for."""
    raise AssertionError(arguments)


class Desk:
    """What an operator has: configurations, containers, the command in this process."""

    def __init__(self, host: Host, cni: Cni, directory: Path) -> None:
        self.host, self.cni = host, cni
        self.conf_dir = directory / "net.d"
        self.conf_dir.mkdir()
        self.lists: dict[str, list[dict[str, Any]]] = {}

    def network(self, name: str, *plugins: dict[str, Any]) -> None:
        """Have a network of these plugins in the directory of configurations."""
        self.lists[name] = list(plugins)
        document = {"cniVersion": "1.1.0", "name": name, "plugins": plugins}
        (self.conf_dir / f"{name}.conflist").write_text(json.dumps(document))

    def attach(
        self,
        network: str,
        space: Space,
        *,
        ports: list[int] | None = None,
        host_ip: str = "",
        ifname: str = "eth0",
    ) -> Any:
        """Have the container attached as a runtime would; return the last result."""
        result = None
        given = mappings(ports or [], host_ip)
        for conf in self.lists[network]:
            whole = {"cniVersion": "1.1.0", "name": network, **conf}
            whole.pop("capabilities", None)
            if given and conf["type"] == "portmap":
                whole["runtimeConfig"] = {"portMappings": given}
            if result:
                whole["prevResult"] = result
            container = container_id_of(space.path)
            options: dict[str, Any] = {"netns": space, "ifname": ifname}
            options["container_id"] = container
            result = self.cni.ok(conf["type"], "ADD", whole, **options)
        return result

    def __call__(self, *words: str, uid: int = 0) -> tuple[int, str, str]:
        """Run the command; return its status, stdout and stderr."""
        stdout, stderr = io.BytesIO(), io.StringIO()
        env = {
            "PATH": os.environ["PATH"],
            "CNI_PATH": self.cni.plugin_path,
            "NETCONFPATH": str(self.conf_dir),
        }
        suite = Suite(
            names=tuple(REGISTER),
            serve=refused,
            keep_leases=refused,
            keepers=keepers,
            unread=keys.unread,
            refused=keys.refused,
            read=keys.read,
            warm=probe.warm,
            plugin=load,
            recording=tuple(n for n in REGISTER if load(n).keeps_records),
            keys=keys.known,
            versions=versions_of,
            uid=uid,
        )
        status = main(["cnipy", *words], env, stdout, stderr, suite)
        return status, stdout.getvalue().decode(), stderr.getvalue()

    def ok(self, *words: str) -> str:
        """Return what the command prints, which must succeed in silence."""
        status, stdout, stderr = self(*words)
        assert (status, stderr) == (0, ""), stderr
        return stdout

    def both(self, *words: str) -> tuple[str, str]:
        """Return stdout and stderr of the command, which must succeed."""
        status, stdout, stderr = self(*words)
        assert status == 0, stdout + stderr
        return stdout, stderr

    def refused(self, *words: str, uid: int = 0) -> str:
        """Return the one line on stderr of the command, which must fail."""
        status, stdout, stderr = self(*words, uid=uid)
        assert (status, stdout, stderr.count("\n")) == (1, "", 1), stdout + stderr
        return stderr
