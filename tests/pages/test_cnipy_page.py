# SPDX-License-Identifier: Apache-2.0
"""docs/changing.md, cnipy.md, runtimes.md and warm.md, as they are written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator
from page_blocks import TOP, Reader

from tests.runtimes.sandbox import remains
from tests.runtimes.sandbox.machine import wait_for

if TYPE_CHECKING:
    from tests.runtimes.sandbox import Sandbox

INSTALL = f"{TOP}/build.sh install --bin-dir /opt/cni/bin"
EXAMPLE = "10-containerd-bridge.conflist"


def install(machine: Sandbox) -> None:
    """Have the suite installed, with one network."""
    machine.run("sh", "-euc", f"{INSTALL}; cp {TOP}/conf-examples/{EXAMPLE} $0", CONF)


CONF = "/etc/cni/net.d"


def read_of_networks(reader: Reader) -> None:
    """Lists come and go, and one of them has a container meanwhile."""
    created = reader.next("cnipy network create front")
    assert created.endswith(f"{CONF}/11-front.conflist\n")
    removed = reader.next("cnipy network rm front")
    assert f"removed list {CONF}/11-front.conflist\n" in removed
    shop = reader.next("cnipy network create shop")
    assert "removed bridge br-shop\n" in shop


def test_page_of_the_command(machine: Sandbox) -> None:
    """Every verb works as the page has it, and the last one removes the command."""
    install(machine)
    reader = Reader("cnipy", machine)
    reader.next("ln -s")
    attached = reader.next("ip netns add web")
    assert '"address"' in attached
    assert remains.leases(machine) == []
    assert "portmap: ready" in reader.next("cnipy status containerd-net")
    node = reader.next("cnipy status")
    assert f"network containerd-net: {CONF}/{EXAMPLE}" in node
    assert "calls start cold" in node
    validated = reader.next("cnipy validate")
    assert validated.count("1 file: 1 note\n") == 2
    schemas = reader.next("cnipy schema")
    assert '"title": "the CNI plugin host-local"' in schemas
    read_of_networks(reader)
    assert remains.leases(machine) == []
    assert "host-local gives 10.22.0." in reader.next("cnipy explain containerd-net")
    assert "containerd-net  1.0.0" in reader.next("cnipy ls")
    shown = reader.next("cnipy add containerd-net web")
    assert "\n└─ bridge cni0, 10.22.0.1/16, " in shown
    assert "!" not in shown.partition("\n└─ bridge cni0")[2]
    assert "\n    bridge cni0 is up\n" in reader.next("cnipy show --parts")
    reader.next("cnipy show --svg")
    assert "cni0" in machine.path("/run/network.svg").read_text()
    assert "no port is published" in reader.next("cnipy ports")
    assert "what leaves 10.22.0.0/16 is seen as the host" in reader.next("cnipy rules")
    assert "(10.22.0.1-10.22.255.254): 1 used" in reader.next("cnipy addresses")
    repaired = reader.next("nft flush ruleset")
    assert "inet cnipy_masquerade" in machine.run("nft", "list", "tables").stdout
    assert repaired.count("; would be put back") == repaired.count("; put back") > 0
    reader.next("cnipy repair --watch")
    tables = machine.run("nft", "list", "tables").stdout
    assert "inet cnipy_masquerade" in tables
    assert "; put back\n" in machine.path("/run/repair.log").read_text()
    machine.run("cnipy", "del", "containerd-net", "web")
    machine.run("ip", "netns", "add", "lost")
    machine.run("cnipy", "add", "containerd-net", "lost")
    machine.run("ip", "netns", "delete", "lost")
    collected = reader.next("cnipy gc")
    assert "would delete containerd-net cnitool-" in collected
    assert "\ndeleted containerd-net cnitool-" in collected
    assert remains.leases(machine) == []
    assert "FAIL" not in reader.next("cnipy demo")
    reader.next("cnipy uninstall")
    reader.assert_at_end()
    assert list(machine.path("/opt/cni/bin").iterdir()) == []


def test_page_of_editors(machine: Sandbox) -> None:
    """Each schema is whole: what its references name is in it."""
    install(machine)
    machine.run("ln", "-s", "/opt/cni/bin/cnipy", "/usr/local/sbin/cnipy")
    reader = Reader("editor", machine)
    reader.next("cnipy schema")
    for name in ("cni", "conflist", "bridge"):
        schema = json.loads(machine.path(f"/tmp/{name}.schema.json").read_text())
        Draft202012Validator.check_schema(schema)
        named = set(re.findall(r'"\$ref": "#/\$defs/([^"]*)"', json.dumps(schema)))
        assert named <= schema["$defs"].keys()
    reader.assert_at_end()


def test_page_of_changes(machine: Sandbox) -> None:
    """Each verb does to a container that runs what the page says."""
    install(machine)
    machine.run("ln", "-s", "/opt/cni/bin/cnipy", "/usr/local/sbin/cnipy")
    reader = Reader("changing", machine)
    reader.next("ip netns add web")
    published = reader.next("cnipy publish web 8080:80")
    assert published.endswith("leads to port 80, at 10.22.0.2 and fd00:22::2\nhello\n")
    assert "no port is published" in reader.next("cnipy unpublish web 8080")
    limited = reader.next("cat >/etc/cni/net.d/20-slow.conflist")
    assert '"rate": 524288' in limited
    assert limited.endswith("/eth0:\n  nothing is limited\n")
    connected = reader.next("cnipy connect web slow")
    named = reader.next("cp conf-examples/86-names.conflist")
    assert "shop" in named.splitlines()[1]
    assert ("cache" in named.splitlines()[2], "cache" in named.splitlines()[3]) == (
        True,
        False,
    )
    assert re.search(r"^back@\w+ +UP +10\.22\.0\.3/16", connected, re.MULTILINE)
    reader.assert_at_end()
    machine.run("cnipy", "check", "containerd-net", "web")
    machine.run("cnipy", "del", "containerd-net", "web")
    machine.run("cnipy", "disconnect", "app", "names")
    machine.run("cnipy", "del", "slow", "app")
    assert remains.leases(machine) == []


def test_page_of_the_runtimes(machine: Sandbox) -> None:
    """A node gets plugins and a network, and one attachment by hand comes and goes."""
    reader = Reader("runtimes", machine)
    reader.next("./build.sh install")
    assert machine.path(f"{CONF}/{EXAMPLE}").is_file()
    printed = reader.next("cp conf-examples/30-dual-stack")
    assert '"interfaces"' in printed
    reader.assert_at_end()
    assert remains.leases(machine) == []


def test_page_of_the_warm_server(machine: Sandbox) -> None:
    """A server that is started by hand is seen to serve the build that is installed."""
    install(machine)
    reader = Reader("warm", machine)
    reader.next("/opt/cni/bin/cnipy serve &")
    socket = machine.path("/run/cnipy/warm.sock")
    wait_for(socket.is_socket, "the warm server")
    printed = reader.next("/opt/cni/bin/cnipy status")
    build = next(p.stem for p in machine.path("/var/cache/cnipy").glob("[0-9a-f]*"))
    assert f"warm server: serves build {build}\n" in printed
    reader.assert_at_end()
