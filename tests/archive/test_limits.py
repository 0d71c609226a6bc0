# SPDX-License-Identifier: Apache-2.0
"""The packed file where hardly a file may be opened."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from lab import ip, nft_objects
from netns.bridge.helpers import conf
from packed_file import INTERPRETER, call
from pictures import files
from warm_server import LOOPBACK, environment

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Host

LIMITS = (12, 13, 14, 15, 16, 18, 20, 24)


@pytest.mark.parametrize(
    ("plugin", "verb"), [("bridge", "ADD"), ("firewall", "STATUS"), ("bridge", "DEL")]
)
def test_one_document_within_any_limit(
    host: Host, packed: Path, tmp_path: Path, plugin: str, verb: str
) -> None:
    """With few files to open a call answers by one document, and leaves nothing."""
    container = host.space()
    executable = tmp_path / plugin
    executable.symlink_to(packed)
    wanted = conf(bridge="br9", ipMasq=True, macspoofchk=True, type=plugin)
    env = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": container.path,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(tmp_path),
    }
    for limit in LIMITS:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        ended = subprocess.run(
            ["prlimit", f"--nofile={limit}:{hard}", str(executable)],
            input=json.dumps(wanted).encode(),
            env={**env, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        assert ended.returncode in {0, 1}, (limit, ended)
        if ended.returncode == 1:
            assert json.loads(ended.stdout)["code"] in {5, 50, 999}, (limit, ended)
        else:
            assert verb != "ADD"
            assert ended.stdout == b""
        assert (nft_objects("ruleset"), files()) == ([], {})
        assert [link["ifname"] for link in ip("link", "show")] == ["lo"]


def test_one_document_where_there_is_little_memory(
    packed: Path, tmp_path: Path
) -> None:
    """From where the interpreter starts at all, what lacks memory is a document."""
    executable = tmp_path / "loopback"
    executable.symlink_to(packed)
    call(executable, "VERSION")
    bare = next(size for size in range(8, 200) if starts(size))
    statuses = []
    for size in range(bare + 2, bare + 20):
        ended = subprocess.run(
            ["prlimit", f"--as={size << 20}", str(executable)],
            input=json.dumps({**LOOPBACK, "name": "n"}).encode(),
            env={**environment("/run/netns/none"), "CNI_COMMAND": "DEL"},
            capture_output=True,
            check=False,
        )
        statuses.append(ended.returncode)
        if ended.returncode == 1:
            assert json.loads(ended.stdout)["code"] in {5, 999}, (size, ended)
        else:
            assert (ended.returncode, ended.stdout) == (0, b""), (size, ended)
    assert statuses[-1] == 0
    # Later interpreters take as much for themselves as for a call.
    assert 1 in statuses or sys.version_info >= (3, 12)


def starts(size: int) -> bool:
    """Tell whether the interpreter starts in so many MiB."""
    words = ["prlimit", f"--as={size << 20}", INTERPRETER, "-I", "-S", "-c", "pass"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
