# SPDX-License-Identifier: Apache-2.0
"""The sandbox itself: closed towards the machine, and gone without a trace."""

import os
import subprocess
from pathlib import Path

from tests.runtimes import web
from tests.runtimes.sandbox import Sandbox, cgroups, need
from tests.runtimes.sandbox.machine import wait_for

WATCHED = ("/run/netns", "/var/lib/cni", "/var/lib/containers", "/etc/cni", "/opt")


def machine() -> list[str]:
    """Return links, processes' namespaces and files that a sandbox could leave."""
    links = subprocess.run(
        ["ip", "-br", "link"], capture_output=True, text=True, check=True
    )
    files = [
        str(path)
        for directory in WATCHED
        if Path(directory).is_dir()
        for path in sorted(Path(directory).rglob("*"))
    ]
    return [*links.stdout.splitlines(), *files]


def test_sandbox_leaves_the_machine_as_it_was() -> None:
    """Links, files and processes of a sandbox end with it."""
    need("unshare", "nsenter", "ip", "busybox")
    before = machine()
    with Sandbox() as sandbox:
        sandbox.run("ip", "link", "add", "left0", "type", "bridge")
        sandbox.write("/var/lib/cni/networks/left/10.0.0.1", "x")
        sandbox.write("/etc/cni/net.d/left.conflist", "{}")
        sandbox.write("/opt/cni/bin/left", "")
        sandbox.start("stays", "sleep", "600")
        wait_for(sandbox.path("/run/lab/stays.pid").exists, "the process to start")
        busy = sandbox.run("pgrep", "-x", "sleep").stdout.split()
        namespace = os.readlink(sandbox.root.parent / "ns" / "net")
        # While it is held open no new namespace, another test's, gets its number.
        held = os.open(sandbox.root.parent / "ns" / "net", os.O_RDONLY)
    owners = [path for path in Path("/proc").glob("[0-9]*/ns/net") if path.exists()]
    assert len(busy) == 1
    assert machine() == before
    assert namespace not in {readable(path) for path in owners}
    os.close(held)


def readable(link: Path) -> str:
    """Return where the link points, or nothing if its process is gone by now."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_sandbox_removes_its_control_groups() -> None:
    """Control groups, which no namespace contains, are removed by name."""
    need("unshare", "nsenter", "ip")
    with Sandbox() as sandbox:
        made = [cgroups.ROOT / sandbox.cgroup]
        if (cgroups.ROOT / "pids").is_dir():
            made = [cgroups.ROOT / "pids" / sandbox.cgroup]
        (made[0] / "below").mkdir(parents=True)
        found = cgroups.named(sandbox.cgroup)
    assert found == made
    assert cgroups.named(sandbox.cgroup) == []


def test_outside_client_reaches_the_host() -> None:
    """The client's namespace is another machine on the uplink."""
    need("unshare", "nsenter", "ip", "busybox", "ss")
    with Sandbox() as sandbox:
        web.serve_source(sandbox, "client")
        page = web.fetch(sandbox, f"http://{web.CLIENT}:8000/")
    assert page == web.HOST
