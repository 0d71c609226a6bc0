# SPDX-License-Identifier: Apache-2.0
"""A packed file answers under any name, environment and set of descriptors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE
from packed_file import call, privately

from plugins import REGISTER

if TYPE_CHECKING:
    from pathlib import Path

CONF = b'{"cniVersion": "1.1.0", "name": "n", "type": "loopback"}'
ATTACHMENT = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/nowhere",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/nowhere",
}
NAMES = tuple(REGISTER)


@pytest.mark.parametrize("name", NAMES)
def test_copy_alone_in_a_directory_answers(
    name: str, packed: Path, tmp_path: Path
) -> None:
    """One file, copied without its neighbours, is the plugin of its name."""
    shutil.copy(packed, tmp_path / name)
    ended = call(tmp_path / name, "VERSION")
    assert ended.returncode == 0, packed
    assert json.loads(ended.stdout)["cniVersion"] == "1.1.0"


@pytest.mark.parametrize("name", NAMES)
def test_every_plugin_can_be_loaded(name: str, plugin_dir: Path) -> None:
    """A DEL of nothing reaches the plugin's own code and succeeds."""
    conf = {"cniVersion": "1.0.0", "name": "n", "type": name, "ipam": {}}
    if name in {"cluster-pool", "host-local"}:
        conf["ipam"] = {"type": name, "dataDir": str(plugin_dir / "leases")}
    env = {**ATTACHMENT, "CNI_NETNS": ""}
    command = ["unshare", "-n", plugin_dir / name]
    ended = subprocess.run(
        command,
        input=json.dumps(conf).encode(),
        env={"CNI_COMMAND": "DEL", "PATH": os.environ["PATH"], **env},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b""), ended


def test_unknown_name_says_which_are_known(packed: Path, tmp_path: Path) -> None:
    """A link of a name that no plugin has fails and lists the names."""
    (tmp_path / "bond").symlink_to(packed)
    ended = call(tmp_path / "bond", "VERSION")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert all(name in ended.stderr.decode() for name in NAMES)


def test_version_does_not_wait_for_a_silent_pipe(plugin_dir: Path) -> None:
    """VERSION answers while stdin is an open pipe to which nobody writes."""
    reading, writing = os.pipe()
    try:
        output = subprocess.run(
            [plugin_dir / "bridge"],
            stdin=reading,
            env={"CNI_COMMAND": "VERSION"},
            capture_output=True,
            timeout=20 * PATIENCE,
            check=True,
        ).stdout
    finally:
        os.close(reading)
        os.close(writing)
    assert json.loads(output)["cniVersion"] == "1.1.0"


def test_version_in_pieces_is_read_to_its_end(plugin_dir: Path) -> None:
    """A runtime that writes its document bit by bit gets the answer to all of it."""
    with subprocess.Popen(
        [plugin_dir / "bridge"],
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as plugin:
        assert plugin.stdin
        for piece in (b'{"name": "n",', b' "cniVersion"', b': "0.4.0"}'):
            plugin.stdin.write(piece)
            time.sleep(0.02)
        said = plugin.communicate(timeout=60)[0]
    assert json.loads(said)["cniVersion"] == "0.4.0"


def test_stdin_that_is_a_directory_is_an_io_error(plugin_dir: Path) -> None:
    """The interpreter would abort; the runtime gets code 5."""
    directory = os.open("/", os.O_RDONLY)
    ended = subprocess.run(
        [plugin_dir / "loopback"],
        stdin=directory,
        env={"CNI_COMMAND": "DEL", **ATTACHMENT},
        capture_output=True,
        check=False,
    )
    os.close(directory)
    assert (ended.returncode, json.loads(ended.stdout)["code"]) == (1, 5)


@pytest.mark.parametrize("closing", ["<&-", "0>/dev/null"])
def test_unreadable_stdin_is_an_io_error(closing: str, plugin_dir: Path) -> None:
    """A closed or write-only stdin gives code 5."""
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" {closing}', plugin_dir / "loopback"],
        env={"CNI_COMMAND": "DEL", **ATTACHMENT},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, json.loads(ended.stdout)["code"]) == (1, 5)


@pytest.mark.parametrize("closing", [">&-", ">/dev/full", "1</dev/null"])
def test_answer_that_cannot_be_written_is_a_failure(
    closing: str, plugin_dir: Path
) -> None:
    """With a stdout that takes nothing the exit status is 1, neither 0 nor 120."""
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" {closing}', plugin_dir / "loopback"],
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert ended.returncode == 1


def test_closed_stderr_does_not_matter(plugin_dir: Path) -> None:
    """Without a stderr the answer is the same."""
    output = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" 2>&-', plugin_dir / "loopback"],
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert json.loads(output)["cniVersion"] == "1.1.0"


def test_python_variables_are_not_obeyed(plugin_dir: Path, tmp_path: Path) -> None:
    """The interpreter starts isolated: PYTHONPATH cannot put other code in."""
    (tmp_path / "json.py").write_text("raise SystemExit(7)\n")
    ended = call(plugin_dir / "loopback", "VERSION", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0


def test_missing_interpreter_is_an_error_document(packed: Path, tmp_path: Path) -> None:
    """Where the interpreter chosen at build is absent, code 999 names it."""
    copy = tmp_path / "loopback"
    head, rest = packed.read_bytes()[:1024], packed.read_bytes()[1024:]
    copy.write_bytes(head.replace(b"/python3'", b"/pythonX'") + rest)
    copy.chmod(0o755)
    ended = call(copy, "ADD", CONF, **ATTACHMENT)
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["code"]) == (1, 999)
    assert "/pythonX" in document["msg"]


def test_archive_has_no_compiled_part(packed: Path) -> None:
    """One file serves every CPU and every Python: nothing of pydantic's, no library."""
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
    tops = {name.split("/")[1].partition(".")[0] for name in names if "/" in name}
    assert [name for name in names if ".so" in name] == []
    assert tops & {"pydantic_core", "typing_extensions", "annotated_types"} == set()
    assert "site-packages/pydantic.py" in names


def test_host_without_libnftables_learns_which_package(plugin_dir: Path) -> None:
    """Where libnftables is missing, the error names the packages that bring it."""
    conf = {
        "cniVersion": "1.1.0",
        "name": "n",
        "type": "portmap",
        "capabilities": {"portMappings": True},
    }
    script = (
        "for f in $(ldconfig -p | sed -n 's/.*libnftables.*=> //p'); do "
        'mount --bind /dev/null "$f"; done; '
        'echo "$1" | env -i CNI_COMMAND=STATUS CNI_PATH=/nowhere "$0" || :'
    )
    output = privately(script, plugin_dir / "portmap", json.dumps(conf))
    document = json.loads(output)
    words = document["msg"] + document.get("details", "")
    assert "libnftables1" in words


@pytest.mark.parametrize(
    ("command", "stdin"), [("VERSION", b""), ("ADD", b"{"), ("FOO", b""), ("GC", CONF)]
)
def test_early_answers_import_no_heavy_library(
    command: str, stdin: bytes, script: Path, tmp_path: Path
) -> None:
    """VERSION and malformed requests are answered before pydantic or pyroute2."""
    call(script.with_name("loopback"), "VERSION")  # so that there is a tree
    telling = script.read_bytes().replace(b"-X utf8", b"-X importtime", 1)
    executable = tmp_path / "loopback"
    executable.write_bytes(telling)
    executable.chmod(0o755)
    ended = call(executable, command, stdin)
    imported = {
        line.rpartition("|")[2].strip() for line in ended.stderr.decode().split("\n")
    }
    answered_by = (
        "launcher.version" if command == "VERSION" else "cni_common.frame.skel"
    )
    assert answered_by in imported
    assert imported & {"pydantic", "pyroute2", "nftables", "launcher.extract"} == set()
