# SPDX-License-Identifier: Apache-2.0
"""The man page and the completions, as install puts them and shells use them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from lab import need
from packed_file import FRESH, TOP, privately

from cnipy import manual, verbs

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = '--bin-dir "$0/bin" --unit-dir "$0/units" --share-dir "$0/share"'
INSTALL = f'{FRESH} {TOP}/build.sh install {DIRECTORIES} --conf-dir "$0/conf" 2>&1'
# What bash does for `cnipy WORD... TAB`.
COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_cnipy "$1" "${COMP_WORDS[COMP_CWORD]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def share(script: Path) -> Path:
    """What was written at build, and install copies."""
    assert script.is_file()
    return TOP / "dist/manual/share"


def completed(share: Path, *words: str, **env: str) -> list[str]:
    """Return what bash offers for the last of the words."""
    need("bash")
    command = ["bash", "-c", COMPLETE, "bash", share / manual.COMPLETIONS["bash"]]
    told = subprocess.run(
        [*command, "cnipy", *words],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
    )
    return sorted(filter(None, told.stdout.splitlines()))


def test_verbs_and_options_are_completed(share: Path) -> None:
    """The first word is a verb, and behind it come that verb's options."""
    assert completed(share, "") == sorted(verbs.MODULES)
    assert completed(share, "sh") == ["show"]
    assert completed(share, "repair", "--") == sorted(
        ["--dry-run", "--help", "--json", "--watch"]
    )


def test_networks_are_completed_from_their_files(share: Path, tmp_path: Path) -> None:
    """NETWORK is one of the names in the directory of configurations."""
    for name in ("front", "fresh", "back"):
        document = {"cniVersion": "1.1.0", "name": name, "plugins": []}
        (tmp_path / f"{name}.conflist").write_text(json.dumps(document))
    found = completed(share, "show", "fr", NETCONFPATH=str(tmp_path))
    assert found == ["fresh", "front"]


def test_plugins_and_files_are_completed(share: Path, tmp_path: Path) -> None:
    """schema is asked about a plugin or a list, validate about files."""
    assert completed(share, "schema", "host-") == ["host-device", "host-local"]
    assert completed(share, "schema", "conf") == ["conflist"]
    (tmp_path / "10-n.conflist").touch()
    found = completed(share, "validate", f"{tmp_path}/10")
    assert found == [f"{tmp_path}/10-n.conflist"]


def test_whom_a_packet_is_between_and_verbs_are_completed(share: Path) -> None:
    """why is asked about the host and containers, help about verbs."""
    assert "host" in completed(share, "why", "")
    assert "host" in completed(share, "why", "host", "h")
    assert completed(share, "help", "") == sorted(verbs.MODULES)
    assert completed(share, "help", "wh") == ["why"]


def test_man_page_has_each_verb(share: Path) -> None:
    """man(1) formats it without a warning, and it tells of each verb."""
    need("man")
    need("groff")
    page = share / manual.MAN_PAGE
    warned = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-z", page],
        capture_output=True,
        text=True,
        check=True,
    )
    assert warned.stderr == ""
    shown = subprocess.run(
        ["man", "-l", page], capture_output=True, text=True, check=True
    ).stdout
    for name in verbs.MODULES:
        assert re.search(rf"usage:\s+cnipy\s+{name}\s", shown)


def test_install_and_uninstall_leave_files_of_others(tmp_path: Path) -> None:
    """Three files come and go; one of those names that is another's stays."""
    theirs = tmp_path / "share" / manual.COMPLETIONS["zsh"]
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs\n")
    look = 'find "$0/share" -type f | sort'
    uninstall = f"{TOP}/build.sh uninstall {DIRECTORIES} 2>&1"
    told = privately(f"{INSTALL}; {INSTALL}; {look}; {uninstall}", tmp_path)
    assert told.count(f"left {theirs}, which is another's") == 2
    for name in (manual.MAN_PAGE, manual.COMPLETIONS["bash"]):
        assert f"\n{tmp_path}/share/{name}\n" in told
    left = [path for path in (tmp_path / "share").rglob("*") if path.is_file()]
    assert left == [theirs]
    assert theirs.read_text() == "theirs\n"


def test_trial_elsewhere_leaves_the_system_alone(tmp_path: Path) -> None:
    """Without --share-dir nothing is copied for another directory than /opt/cni/bin."""
    command = INSTALL.replace('--share-dir "$0/share"', "")
    assert "man page" not in privately(command, tmp_path)
