# SPDX-License-Identifier: Apache-2.0
"""A runtime with recording plugins: scripts that write down how they were called."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cnipy.attachment import Attachment
from cnipy.cache import Cache
from cnipy.invoke import Invoker
from cnipy.main import main
from cnipy.runtime import Runtime
from cnipy.suite import Keeper, Suite, Warm
from launcher import keys

if TYPE_CHECKING:
    from pathlib import Path

# Appends one line of JSON for each call; fails for the verbs in FAIL_<type>.
PLUGIN = """#!/usr/bin/python3 -IS
import json, os, sys
kind = os.path.basename(sys.argv[0])
verb = os.environ["CNI_COMMAND"]
text = sys.stdin.read()
env = {k: v for k, v in os.environ.items() if k.startswith("CNI_")}
conf = json.loads(text)
call = {"type": kind, "verb": verb, "env": env, "conf": conf}
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(call) + "\\n")
if verb in os.environ.get("FAIL_" + kind, "").split(","):
    print(json.dumps({"code": 42, "msg": "not today", "details": kind}))
    sys.exit(1)
print(os.environ.get("SAY_" + kind, ""), end="", file=sys.stderr)
if verb == "ADD":
    result = conf.get("prevResult") or {"cniVersion": conf["cniVersion"], "ips": []}
    result["ips"].append({"address": "10.0.0.%d/24" % (len(result["ips"]) + 2)})
    print(json.dumps(result))
if verb == "VERSION":
    speaks = os.environ.get("SPEAKS_" + kind, "0.4.0 1.0.0").split()
    print(json.dumps({"cniVersion": "1.0.0", "supportedVersions": speaks}))
"""


def refused(*arguments: object) -> Any:
    """Stand for what no verb here asks for."""
    raise AssertionError(arguments)


@dataclass
class Desk:
    """What an operator has: configurations, plugins, a cache; and what was called."""

    directory: Path
    env: dict[str, str]

    # Plugins that are not of the suite, and no server.
    suite: Suite = field(
        default_factory=lambda: Suite(
            names=(),
            serve=refused,
            keep_leases=refused,
            keepers=lambda: [Keeper("/nowhere", "nobody listens at /nowhere")],
            unread=refused,
            refused=refused,
            read=keys.read,
            plugin=refused,
            keys=keys.known,
            warm=lambda _: Warm("/nowhere", listening=False, serves=False, builds=()),
        )
    )

    @property
    def conf_dir(self) -> Path:
        """NETCONFPATH."""
        return self.directory / "net.d"

    @property
    def cache(self) -> Cache:
        """The result cache."""
        return Cache(str(self.directory / "cache"))

    @property
    def runtime(self) -> Runtime:
        """The runtime under test."""
        return Runtime(Invoker((str(self.directory / "bin"),), self.env), self.cache)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What the plugins were asked, in order."""
        try:
            lines = (self.directory / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    @property
    def order(self) -> list[str]:
        """The same, as "VERB type"."""
        return [f"{call['verb']} {call['type']}" for call in self.calls]

    def cnipy(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Run the command; return its status, stdout and stderr."""
        stdout, stderr = io.BytesIO(), io.StringIO()
        variables = {
            **self.env,
            "CNI_PATH": str(self.directory / "bin"),
            "NETCONFPATH": str(self.conf_dir),
            **env,
        }
        argv = ["cnipy", "--cache-dir", str(self.directory / "cache"), *arguments]
        status = main(argv, variables, stdout, stderr, self.suite)
        return status, stdout.getvalue().decode(), stderr.getvalue()

    def conflist(self, *kinds: str, file: str = "10-n.conflist", **keys: Any) -> None:
        """Write a list of plugins called n, of version 1.1.0 unless `keys` say so."""
        plugins = [{"type": kind} for kind in kinds]
        document = {"cniVersion": "1.1.0", "name": "n", "plugins": plugins, **keys}
        (self.conf_dir / file).write_text(json.dumps(document))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Plugins first, second and third, which record their calls."""
    for name in ("net.d", "bin"):
        (tmp_path / name).mkdir()
    for name in ("first", "second", "third"):
        plugin = tmp_path / "bin" / name
        plugin.write_text(PLUGIN)
        plugin.chmod(0o755)
    env = {"CALLS": str(tmp_path / "calls"), "PATH": os.environ["PATH"]}
    return Desk(tmp_path, env)


@pytest.fixture
def attachment() -> Attachment:
    """A container's attachment, with a port to publish."""
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    return Attachment(
        container_id="c1",
        netns="/run/netns/c1",
        ifname="eth0",
        args=(("IgnoreUnknown", "1"),),
        capability_args={"portMappings": ports, "mac": "02:00:00:00:00:01"},
    )
