# SPDX-License-Identifier: Apache-2.0
"""The warm server carries out those verbs of the command that change what lives."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from netns.portmap.helpers import elements
from operating import Operator
from warm_server import BRIDGE, SOCKET

from launcher.client import CHANGES

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Space

PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


@pytest.fixture
def operator(
    packed: Path,
    plugin_dir: Path,
    tmp_path: Path,
    warm: subprocess.Popen[bytes],
    container: Space,
) -> Operator:
    """An operator with a container on the network n, beside a warm server."""
    assert warm.poll() is None
    (tmp_path / "net.d").mkdir()
    document = {"cniVersion": "1.0.0", "name": "n", "plugins": [BRIDGE, PORTMAP]}
    (tmp_path / "net.d/n.conflist").write_text(json.dumps(document))
    operator = Operator(packed, plugin_dir, tmp_path / "net.d")
    operator.ok("add", "n", container.name)
    return operator


def accepted(operator: Operator, *words: str) -> tuple[bool, int, str]:
    """Tell whether a server accepted the call; return exit status and stdout, too."""
    trace = ["strace", "-qq", "-e", "trace=recvfrom", str(operator.packed), *words]
    ended = subprocess.run(
        trace, env=operator.env, capture_output=True, text=True, check=False
    )
    return '"A", 1' in ended.stderr, ended.returncode, ended.stdout


def test_server_publishes(operator: Operator, container: Space) -> None:
    """The same as a cold call would, and says the same."""
    told = accepted(operator, "publish", container.name, "8080:80", "--json")
    assert told[:2] == (True, 0)
    assert elements("hostports4") == {"tcp . 8080": "10.9.0.2 . 80"}
    warm = operator.ok("publish", container.name, "8080:80")
    os.rename(SOCKET, f"{SOCKET}.away")
    assert accepted(operator, "publish", container.name, "8080:80") == (False, 0, warm)
    os.rename(f"{SOCKET}.away", SOCKET)
    assert accepted(operator, "unpublish", container.name, "8080")[:2] == (True, 0)
    assert elements("hostports4") == {}


@pytest.mark.parametrize("words", [(), ("--help",), ("nobody", "1:1"), ("x", "--what")])
def test_refusals_are_those_of_a_cold_call(
    operator: Operator, words: tuple[str, ...]
) -> None:
    """Status, stdout and stderr: also of a command line that makes no sense."""
    ends = []
    for place in (SOCKET, f"{SOCKET}.away"):
        if place != SOCKET:
            os.rename(SOCKET, place)
        done = operator("publish", *words)
        ends.append((done.returncode, done.stdout, done.stderr))
    assert ends[0] == ends[1]
    assert any(ends[0][1:])


def test_other_verbs_start_cold(operator: Operator, container: Space) -> None:
    """What only looks, or calls plugins, does not come to the server."""
    assert not accepted(operator, "ports")[0]
    assert not accepted(operator, "check", "n", container.name)[0]
    assert all(accepted(operator, verb)[:2] == (True, 2) for verb in CHANGES)
