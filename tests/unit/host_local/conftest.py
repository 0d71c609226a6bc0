# SPDX-License-Identifier: Apache-2.0
"""host-local needs neither root nor a network namespace, only two directories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unit import outcome
from unit.outcome import Outcome, environment

from cni_common import state
from plugins.host_local.plugin import PLUGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path("/usr/lib/cni/host-local")
ROOT = Path(__file__).resolve().parents[3]
COLD = """
import os, sys
sys.path.insert(0, sys.argv[1])
from cni_common import state
from cni_common.frame import skel
state.ROOT = sys.argv[2]
def load():
    from plugins.host_local.plugin import PLUGIN
    return PLUGIN
streams = sys.stdin.buffer, sys.stdout.buffer, sys.stderr
sys.exit(skel.run("host-local", load, os.environ, *streams))
"""

# As many processes as the last argument says, each with a container of its own; what
# they have in common is imported before they begin, so that they meet where they write.
AT_ONCE = """
import io, json, os, sys
sys.path.insert(0, sys.argv[1])
from cni_common import state
from cni_common.frame import skel
from plugins.host_local.plugin import PLUGIN
state.ROOT = sys.argv[2]
conf = sys.stdin.buffer.read()
for n in range(int(sys.argv[3])):
    if os.fork() == 0:
        printed = io.BytesIO()
        streams = io.BytesIO(conf), printed, sys.stderr
        env = {**os.environ, "CNI_CONTAINERID": f"c{n}"}
        status = skel.run("host-local", lambda: PLUGIN, env, *streams)
        line = json.dumps([status, printed.getvalue().decode()]) + "\\n"
        os.write(1, line.encode())
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


@dataclass
class Network:
    """One network's configuration and directory, and the calls on it."""

    data_dir: Path
    state: Path
    name: str = "net"

    @property
    def directory(self) -> Path:
        return self.data_dir / self.name

    @property
    def leases(self) -> dict[str, bytes]:
        """Content of every lease, by name."""
        skipped = ("lock", "last_reserved_ip.")
        return {
            path.name: path.read_bytes()
            for path in sorted(self.directory.iterdir())
            if path.is_file() and not path.name.startswith(skipped)
        }

    @property
    def index(self) -> dict[str, str]:
        """The side index: target of every link, by name."""
        root = self.state / "host-local"
        return {link.name: os.readlink(link) for link in root.glob("*/*")}

    def conf(self, *sets: Any, version: str = "1.1.0", **ipam: Any) -> dict[str, Any]:
        """Return a configuration; each set is a subnet, a range or a list of ranges."""
        ranges = []
        for item in sets:
            listed = item if isinstance(item, list) else [item]
            ranges.append([{"subnet": r} if isinstance(r, str) else r for r in listed])
        section = {"type": "host-local", "dataDir": str(self.data_dir)}
        if ranges:
            section["ranges"] = ranges
        return {
            "cniVersion": version,
            "name": self.name,
            "type": "bridge",
            "ipam": section | ipam,
        }

    def call(
        self,
        verb: str,
        conf: dict[str, Any],
        cid: str = "c1",
        ifname: str = "eth0",
        **env: str,
    ) -> Outcome:
        """Call our plugin in this process."""
        return outcome.call(PLUGIN, conf, environment(verb, cid, ifname) | env)

    def reference(
        self, verb: str, conf: dict[str, Any], cid: str = "c1", ifname: str = "eth0"
    ) -> Outcome:
        """Call the reference's binary."""
        done = subprocess.run(
            [REFERENCE],
            input=json.dumps(conf).encode(),
            env=environment(verb, cid, ifname),
            capture_output=True,
            check=False,
        )
        return Outcome(done.returncode, json.loads(done.stdout or "{}"))

    def start(
        self, verb: str, conf: dict[str, Any], cid: str, prelude: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start our plugin as a process of its own, behind the statements `prelude`."""
        process = subprocess.Popen(
            [sys.executable, "-c", prelude + COLD, str(ROOT), str(self.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(verb, cid, "eth0"),
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(conf).encode())
        process.stdin.close()
        return process

    def at_once(self, verb: str, conf: dict[str, Any], count: int) -> list[Outcome]:
        """Call our plugin in so many processes, for containers c0 and so on."""
        ended = subprocess.run(
            [sys.executable, "-c", AT_ONCE, str(ROOT), str(self.state), str(count)],
            input=json.dumps(conf).encode(),
            env=environment(verb, "", "eth0"),
            capture_output=True,
            check=True,
        )
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        return [Outcome(status, json.loads(text or "{}")) for status, text in lines]


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A network with nothing on disk yet; nothing else appears beside its directory."""
    monkeypatch.setattr(state, "ROOT", str(tmp_path / "run"))
    network = Network(tmp_path / "networks", tmp_path / "run")
    yield network
    if network.data_dir.is_dir() and not network.data_dir.is_symlink():
        names = {path.name for path in network.data_dir.iterdir()}
        assert names <= {network.name}


@pytest.fixture
def reference(net: Network) -> Network:
    """The same network where the reference's binary is installed too."""
    if not REFERENCE.exists():
        if os.environ.get("CNI_TESTS_STRICT") == "1":
            pytest.fail(f"{REFERENCE} is missing: install containernetworking-plugins")
        pytest.skip(f"{REFERENCE} is not installed")
    return net
