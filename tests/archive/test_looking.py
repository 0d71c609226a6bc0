# SPDX-License-Identifier: Apache-2.0
"""The packed command's looking verbs: each form, with what differs among it."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from lab import run

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host, Space

CONFLIST = {
    "cniVersion": "1.1.0",
    "name": "n",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "br0",
            "ipMasq": True,
            "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
WORDS = {
    "ls": (),
    "show": (),
    "ports": (),
    "rules": ("cnitool-",),
    "addresses": ("n",),
    "status": (),
    "repair": ("--dry-run",),
    "help": (),
    "gc": ("--dry-run",),
}


@pytest.fixture
def env(
    packed: Path, plugin_dir: Path, tmp_path: Path, host: Host, container: Space
) -> dict[str, str]:
    """A node with a container whose rules somebody took away."""
    assert host
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d/10-n.conflist").write_text(json.dumps(CONFLIST))
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CNI_PATH": str(plugin_dir),
        "NETCONFPATH": str(tmp_path / "net.d"),
        "CAP_ARGS": json.dumps(PORTS),
    }
    subprocess.run(
        [packed, "add", "n", container.path], env=env, check=True, capture_output=True
    )
    run("nft", "flush", "ruleset")
    return env


def call(packed: Path, env: dict[str, str], *words: str) -> str:
    """Return what the command prints, which must succeed in silence."""
    done = subprocess.run(
        [packed, *words], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), (words, done.stderr)
    return done.stdout


def test_each_form_is_printed(packed: Path, env: dict[str, str]) -> None:
    """Text is for people, and --json is one document, also of what is missing."""
    for verb, words in WORDS.items():
        text = call(packed, env, verb, *words)
        document: Any = json.loads(call(packed, env, verb, *words, "--json"))
        assert text or verb == "gc"
        assert document or verb == "gc"
    (shown,) = json.loads(call(packed, env, "show", "--json"))
    assert any(plugin["differences"] for plugin in shown["plugins"])
    picture = ET.fromstring(call(packed, env, "show", "--svg", "-"))
    texts = [each.text or "" for each in picture.iter() if each.tag.endswith("text")]
    assert "eth0 10.9.0.2/24" in texts
    assert "← tcp 8080 → 80" in [t.replace("⇐", "←") for t in texts]
    assert "br0" in call(packed, env, "show", "--dot")
