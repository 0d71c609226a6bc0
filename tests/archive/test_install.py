# SPDX-License-Identifier: Apache-2.0
"""build.sh install: the plugin directory gets one archive and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packed_file import FRESH, ROOT, TOP, privately

from plugins import REGISTER

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = f'{TOP}/build.sh install --bin-dir "$0" --conf-dir "$0.d" --unit-dir "$0.u"'


def test_install_places_one_archive_and_links(tree: str, tmp_path: Path) -> None:
    """Every name is there with mode 0755, extracted before the first call."""
    script = (
        f'{FRESH} {INSTALL} 2>/dev/null; ls -A "$0"; stat -Lc %a "$0"/*; ls {ROOT}; '
        'env -i CNI_COMMAND=VERSION "$0/portmap" </dev/null'
    )
    lines = privately(script, tmp_path / "bin").splitlines()
    names = sorted(["cnipy", *REGISTER])
    count = len(names)
    assert lines[:count] == names
    assert lines[count : 2 * count] == ["755"] * count
    assert lines[2 * count] == tree
    assert "supportedVersions" in "".join(lines)


def test_install_refuses_to_replace_a_foreign_file(tmp_path: Path) -> None:
    """A file of others stays, and nothing is installed beside it."""
    (tmp_path / "host-local").write_text("theirs\n")
    script = f'{FRESH} if {INSTALL} 2>&1; then exit 1; fi; ls -A "$0"'
    output = privately(script, tmp_path)
    assert "--force" in output
    assert output.splitlines()[-1] == "host-local"
    assert (tmp_path / "host-local").read_text() == "theirs\n"


def test_forced_install_keeps_the_foreign_file_beside(tmp_path: Path) -> None:
    """With --force the first foreign file is kept, also when it is done twice."""
    (tmp_path / "bridge").write_text("theirs\n")
    privately(f"{FRESH} {INSTALL} --force; {INSTALL} --force", tmp_path)
    assert (tmp_path / "bridge.reference").read_text() == "theirs\n"
    assert (tmp_path / "bridge").resolve() == tmp_path / "cnipy"


def test_install_removes_trees_of_older_builds(tmp_path: Path) -> None:
    """Trees that no installed file refers to any more are taken away."""
    old = f"{ROOT}/{'0' * 32}"
    script = f"{FRESH} mkdir -p {old} {old}.cpython-311; {INSTALL} 2>&1; ls {ROOT}"
    listed = privately(script, tmp_path).splitlines()
    assert f"build.sh: removed {old}.cpython-311" in listed
    assert not [name for name in listed if name.startswith("0" * 32)]


def test_forced_install_keeps_what_a_package_brought_later(tmp_path: Path) -> None:
    """What came over ours is what will be put back, not what was there before."""
    (tmp_path / "bridge").write_text("first\n")
    script = f'{FRESH} {INSTALL} --force; rm "$0/bridge"; echo later >"$0/bridge"; '
    privately(f"{script} {INSTALL} --force", tmp_path)
    assert (tmp_path / "bridge.reference").read_text() == "later\n"


def test_install_makes_the_configuration_directory(tmp_path: Path) -> None:
    """Where networks belong is a directory that all may read, and is named as next."""
    script = f'{FRESH} umask 077; {INSTALL} 2>&1; stat -c %a "$0.d"'
    output = privately(script, tmp_path / "bin")
    assert output.splitlines()[-1] == "755"
    assert f"conf-examples/10-containerd-bridge.conflist {tmp_path}/bin.d/" in output


def test_installed_unit_starts_the_command_that_was_installed(tmp_path: Path) -> None:
    """The warm server's unit is about this directory, whatever it is."""
    privately(f"{FRESH} {INSTALL}", tmp_path / "bin")
    service = (tmp_path / "bin.u/cnipy-warm.service").read_text()
    assert f"ExecStart={tmp_path}/bin/cnipy serve" in service.splitlines()
    assert (tmp_path / "bin.u/cnipy-warm.socket").is_file()


def test_install_of_unchanged_sources_packs_nothing(
    packed: Path, tmp_path: Path
) -> None:
    """What was built of the same sources is copied, not made a second time."""
    privately(f"{FRESH} {INSTALL}", tmp_path / "bin")
    before = packed.stat()
    privately(f"{FRESH} {INSTALL}", tmp_path / "bin")
    after = packed.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_keeper_of_leases_is_installed_where_it_is_asked_for(tmp_path: Path) -> None:
    """Its unit stays up to date from then on, and goes with the rest."""
    units = tmp_path / "bin.u"
    privately(f"{FRESH} {INSTALL}", tmp_path / "bin")
    assert not (units / "cnipy-dhcp.service").exists()
    again = f'{INSTALL} --dhcp; echo stale >"$0.u/cnipy-dhcp.socket"; {INSTALL}'
    privately(f"{FRESH} {again}", tmp_path / "bin")
    service = (units / "cnipy-dhcp.service").read_text()
    assert f"ExecStart={tmp_path}/bin/cnipy dhcp" in service.splitlines()
    assert (
        "ListenStream=/run/cni/dhcp.sock" in (units / "cnipy-dhcp.socket").read_text()
    )
    uninstall = f'{TOP}/build.sh uninstall --bin-dir "$0" --unit-dir "$0.u"'
    privately(f"{FRESH} {uninstall}", tmp_path / "bin")
    assert list(units.glob("cnipy-dhcp*")) == []


def test_agent_of_many_nodes_is_installed_where_it_is_asked_for(tmp_path: Path) -> None:
    """Its unit stays up to date from then on, and goes with the rest."""
    units = tmp_path / "bin.u"
    privately(f"{FRESH} {INSTALL}", tmp_path / "bin")
    assert not (units / "cnipy-net.service").exists()
    again = f'{INSTALL} --net; echo stale >>"$0.u/cnipy-net.service"; {INSTALL}'
    privately(f"{FRESH} {again}", tmp_path / "bin")
    service = (units / "cnipy-net.service").read_text()
    assert f"ExecStart={tmp_path}/bin/cnipy net agent" in service.splitlines()
    assert "stale" not in service
    uninstall = f'{TOP}/build.sh uninstall --bin-dir "$0" --unit-dir "$0.u"'
    privately(f"{FRESH} {uninstall}", tmp_path / "bin")
    assert list(units.glob("cnipy-net*")) == []
