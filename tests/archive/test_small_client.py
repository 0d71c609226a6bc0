# SPDX-License-Identifier: Apache-2.0
"""The packed file that begins with a program does without Python where it can."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import lacking
from packed_file import FRESH, TOP, call, privately
from warm_server import LOOPBACK, SOCKET, end, environment, served

from plugins import REGISTER

if TYPE_CHECKING:
    from lab import Host

CONF = json.dumps(LOOPBACK).encode()
OTHERWISE = {
    "nothing": b"",
    "libcni's": b'{"cniVersion":"0.4.0"}',
    "spaces": b' { "cniVersion" :\t"0.3.1" }\r\n',
    "a newer version": b'{"cniVersion":"9.0.0"}',
    "another key": b'{"cniVersion":"1.0.0","name":"n"}',
    "another type": b'{"cniVersion":1}',
    "no document": b"version, please",
    "a byte that is none of a text": b'{"cniVersion":"1.0.0"}\0',
    "much": b'{"cniVersion":"1.0.0"' + b" " * 60000 + b"}",
}


@pytest.fixture
def links(packed: Path, script: Path, plugin_dir: Path) -> Path:
    """A plugin directory of the program; beside it, in `script`, one of the script."""
    (plugin_dir / "script").mkdir()
    for name in REGISTER:
        (plugin_dir / "script" / name).symlink_to(script)
    assert packed.read_bytes().startswith(b"\x7fELF")
    return plugin_dir


def traced(calls: str, plugin: Path, verb: str, *words: str) -> str:
    """Return what strace tells of a plugin and its children."""
    env = {**environment(""), "CNI_COMMAND": verb, "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        ["strace", "-f", "-e", f"trace={calls}", *words, str(plugin)],
        input=CONF if verb != "VERSION" else b"",
        env=env,
        capture_output=True,
        check=True,
    )
    return ended.stderr.decode()


@pytest.mark.parametrize("text", OTHERWISE)
def test_version_is_what_the_script_says(links: Path, text: str) -> None:
    """Whatever stdin has, both forms print the same and end the same."""
    for name in ("bridge", "bandwidth", "static"):
        ours = call(links / name, "VERSION", OTHERWISE[text])
        theirs = call(links / "script" / name, "VERSION", OTHERWISE[text])
        assert ours.returncode == theirs.returncode
        assert ours.stdout == theirs.stdout


def test_version_starts_nothing(links: Path) -> None:
    """VERSION of libcni's form is answered by the program itself."""
    assert traced("execve", links / "portmap", "VERSION").count("execve(") == 1


def test_warm_call_starts_nothing(links: Path, warm: subprocess.Popen[bytes]) -> None:
    """Neither a shell nor Python is started where a server carries the call out."""
    assert warm.poll() is None
    assert traced("execve", links / "loopback", "DEL").count("execve(") == 1


def test_cold_start_does_not_ask_the_server_again(
    host: Host, links: Path, script: Path
) -> None:
    """Where nobody answers the program, Python does not try a second time."""
    del host
    with served(script) as server:
        end(server, 9)
        told = traced("connect,execve", links / "loopback", "DEL")
    assert len(re.findall(rf"connect\(.*{SOCKET}", told)) == 1
    assert len(re.findall(r"execve\(.* = 0", told)) > 1


def test_last_of_two_variables_of_a_name_counts(
    links: Path, warm: subprocess.Popen[bytes]
) -> None:
    """An environment is the same warm and cold: what has no name is no variable."""
    spy = links / "spy"
    spy.write_text("#!/bin/sh\nenv | grep -E '^(TWICE|ALONE|=)' >$SEEN\n")
    spy.chmod(0o755)
    (links / "twice").write_text(
        "import ctypes, sys\n"
        "words = (ctypes.c_char_p * 2)(sys.argv[1].encode(), None)\n"
        "env = [v.encode() for v in sys.argv[2:]]\n"
        "ctypes.CDLL(None).execve(words[0], words,"
        " (ctypes.c_char_p * (len(env) + 1))(*env, None))\n"
    )
    conf = {"cniVersion": "1.1.0", "name": "n", "type": "bridge", "bridge": "br0"}
    text = json.dumps({**conf, "ipam": {"type": "spy"}}).encode()
    found = []
    for number in range(2):
        seen = links / f"seen{number}"
        env = {**environment(""), "CNI_COMMAND": "DEL", "CNI_PATH": str(links)}
        env |= {"PATH": os.environ["PATH"], "SEEN": str(seen)}
        odd = ["TWICE=first", "TWICE=second", "ALONE", "=nameless"]
        words = [f"{name}={value}" for name, value in env.items()]
        subprocess.run(
            ["/usr/bin/python3", links / "twice", links / "bridge", *odd, *words],
            input=text,
            check=True,
            capture_output=True,
        )
        found.append(seen.read_text())
        end(warm)
    assert found == ["TWICE=second\n"] * 2


def test_install_takes_the_program_where_it_was_built(
    packed: Path, tmp_path: Path
) -> None:
    """What lies in the plugin directory is the program, and goes as the script does."""
    directory = tmp_path / "bin"
    install = f'{TOP}/build.sh install --bin-dir "$0" --conf-dir "$0.d"'
    units = f"--unit-dir {tmp_path}/units"
    look = 'cp "$0/cnipy" "$0.taken"; env -i CNI_COMMAND=VERSION "$0/bridge" </dev/null'
    script = f'{FRESH} {install} {units}; {look}; "$0/cnipy" uninstall {units}'
    said = privately(script, directory)
    assert json.loads(said)["cniVersion"] == "1.1.0"
    assert Path(f"{directory}.taken").read_bytes() == packed.read_bytes()
    assert os.listdir(directory) == []
    assert os.listdir(tmp_path / "units") == []


def test_program_states_what_the_script_states(packed: Path, script: Path) -> None:
    """Build and root are found in both forms, which are of one build."""
    from cnipy.packed import build_of, roots_of  # noqa: PLC0415 - after the build

    assert build_of(str(packed)) == build_of(str(script)) != ""
    assert roots_of(str(packed)) == roots_of(str(script))


def test_program_is_a_valid_file_of_its_cpu(packed: Path) -> None:
    """Its note is one, and it needs no library of the host."""
    if not shutil.which("readelf"):
        lacking("readelf is not installed")
    words = ["readelf", "--notes", "--dynamic", "--wide", str(packed)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "cnipy" in said
    assert "There is no dynamic section" in said
