# SPDX-License-Identifier: Apache-2.0
"""The first start of a packed file extracts it, once, to where only root writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packed_file import FRESH, ROOT, THEIRS, privately

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 'env -i CNI_COMMAND=VERSION "$0" </dev/null; echo; '


def test_extracts_to_fixed_root_without_home(plugin_dir: Path, tree: str) -> None:
    """With an empty environment the tree lies in the root fixed at tree."""
    script = FRESH + f'env -i CNI_COMMAND=VERSION "$0" </dev/null >/dev/null; ls {ROOT}'
    assert privately(script, plugin_dir / "loopback").split() == [tree]


def test_tree_is_writable_by_its_owner_only(plugin_dir: Path) -> None:
    """No file of the tree or above it can be written by group or others."""
    script = f"{FRESH} umask 0; {VERSION} find {ROOT} -perm /022; stat -c %a {ROOT}/*"
    output = privately(script, plugin_dir / "loopback")
    assert output.split("}")[-1].split() == ["755"]


def test_sixty_first_starts_at_once_all_answer(plugin_dir: Path, tree: str) -> None:
    """Sixty processes start on a fresh machine; each answers, one tree results."""
    script = FRESH + (
        "cd $(mktemp -d -p /run); for i in $(seq 60); do "
        'env -i CNI_COMMAND=VERSION "$0" </dev/null >$i & done; wait; '
        f"cat *; ls -A {ROOT} | grep -v lock"
    )
    output = privately(script, plugin_dir / "loopback")
    assert output.count("supportedVersions") == 60
    assert output.splitlines()[-1] == tree
    assert output.splitlines()[-2].endswith("}")


def test_copies_under_other_names_share_a_tree(packed: Path, tree: str) -> None:
    """Copies of the file, whatever their names, extract once."""
    script = FRESH + (
        'cp "$0" /run/bridge; cp "$0" /run/loopback; for name in bridge loopback; do '
        "env -i CNI_COMMAND=VERSION /run/$name </dev/null >/dev/null; done; "
        f"ls {ROOT}"
    )
    assert privately(script, packed).split() == [tree]


def test_remains_of_a_killed_extraction_are_removed(
    plugin_dir: Path, tree: str
) -> None:
    """What a killed process left half extracted is taken away by the next one."""
    script = FRESH + (
        f"mkdir -p {ROOT}/.{tree}.tree.dead/site-packages; {VERSION} ls -A {ROOT}"
    )
    output = privately(script, plugin_dir / "loopback")
    assert f".{tree}.tree.dead" not in output
    assert tree in output.splitlines()


def test_read_only_root_falls_back_to_run(plugin_dir: Path, tree: str) -> None:
    """With everything but /run read-only, the tree lies under /run."""
    script = FRESH + (
        "mount -o remount,ro /var/cache; mount -o remount,ro,bind /; "
        f"{VERSION} ls /run/cnipy /var/cache"
    )
    output = privately(script, plugin_dir / "loopback")
    assert "supportedVersions" in output
    assert output.splitlines()[-4:] == ["/run/cnipy:", tree, "", "/var/cache:"][
        -4:
    ] or (tree in output.splitlines())


def test_no_place_to_extract_is_an_error_document(plugin_dir: Path) -> None:
    """With nowhere to write, the runtime gets one error that says what was tried."""
    script = FRESH + (
        "mount -o remount,ro /var/cache; mount -o remount,ro /run; "
        'env -i CNI_COMMAND=VERSION "$0" </dev/null || echo " $?"'
    )
    text, _, status = privately(script, plugin_dir / "loopback").rpartition(" ")
    document = json.loads(text)
    assert (document["code"], status.strip()) == (5, "1")
    assert "/var/cache/cnipy" in document["msg"]
    assert "/run/cnipy" in document["msg"]


@pytest.mark.parametrize("second", ["12m", "1m"])
def test_full_disk_is_another_root_or_an_error_document(
    plugin_dir: Path, tree: str, second: str
) -> None:
    """What does not fit is removed; the next root is tried, or both causes are told."""
    script = (
        "mount -t tmpfs -o mode=0755,size=1m tmpfs /var/cache; "
        f"mount -t tmpfs -o mode=0755,size={second} tmpfs /run; "
        'env -i CNI_COMMAND=VERSION "$0" </dev/null && echo 0 || echo 1; '
        f"ls -A {ROOT}; ls -A /run/cnipy"
    )
    answered, status, rest = privately(script, plugin_dir / "loopback").split("\n", 2)
    document = json.loads(answered)
    lock = f".{tree}.lock"
    if second == "1m":
        assert (document["code"], status, rest.split()) == (5, "1", [lock, lock])
        assert document["msg"].count("No space left on device") == 2
    else:
        assert (document["cniVersion"], status) == ("1.1.0", "0")
        assert rest.split() == [lock, lock, tree]


def test_root_that_is_a_symbolic_link_is_not_used(plugin_dir: Path, tree: str) -> None:
    """A link in place of the root is not followed: nothing appears behind it."""
    script = FRESH + (
        f"mkdir /run/theirs; ln -s /run/theirs {ROOT}; {VERSION}"
        "ls /run/theirs; echo --; ls /run/cnipy"
    )
    output = privately(script, plugin_dir / "loopback")
    assert output.split("}\n")[-1].split() == ["--", tree]


def test_root_that_others_may_write_is_not_used(plugin_dir: Path, tree: str) -> None:
    """A root with mode 0777 is refused, and what lies in it is not executed."""
    script = FRESH + (
        f"mkdir -m 0777 {ROOT}; {VERSION} ls {ROOT}; echo --; ls /run/cnipy"
    )
    output = privately(script, plugin_dir / "loopback")
    assert output.split("}\n")[-1].split() == ["--", tree]


def test_tree_of_another_owner_is_not_executed(plugin_dir: Path, tree: str) -> None:
    """A tree that somebody else made is not run, though it has the right name."""
    script = FRESH + (
        f"mkdir -p {ROOT}/{tree}; {THEIRS} {ROOT}/{tree}/bundle; "
        f"chown -R 65534 {ROOT}/{tree}; {VERSION} ls /run/cnipy"
    )
    output = privately(script, plugin_dir / "loopback")
    assert "*" not in output
    assert output.split()[-1] == tree


def test_another_user_runs_the_tree_of_root(packed: Path) -> None:
    """What root extracted serves an unprivileged user, who cannot extract there."""
    script = FRESH + (
        'cp "$0" /run/loopback; env -i CNI_COMMAND=VERSION /run/loopback </dev/null '
        "&& echo && env -i CNI_COMMAND=VERSION setpriv --reuid 65534 --regid 65534 "
        "--clear-groups /run/loopback </dev/null"
    )
    assert privately(script, packed).count("supportedVersions") == 2
