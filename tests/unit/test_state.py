# SPDX-License-Identifier: Apache-2.0
"""State files: whole or absent, private, and never somebody else's."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cni_common import state
from cni_common.frame import log
from cni_common.spec.errors import CNIError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State lies in a directory of the test's own, which is not there yet."""
    monkeypatch.setattr(state, "ROOT", str(tmp_path / "run" / "cni" / "cnipy"))
    return Path(state.ROOT)


def mode(path: str | Path) -> int:
    """Return the permissions of a file or directory."""
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(root: Path, umask: int) -> None:
    """Directories of ours have mode 0700 and files 0600, and nobody else may write."""
    old = os.umask(umask)
    try:
        directory = state.ensure_directory("bridge", "n")
        state.write(directory, "a", {})
    finally:
        os.umask(old)
    assert [mode(p) for p in (root, root / "bridge", directory)] == [0o700] * 3
    assert mode(root / "bridge" / "n" / "a") == 0o600
    assert mode(root.parent) & 0o700 == 0o700


def test_what_is_written_is_read(root: Path) -> None:
    """A document comes back as it was, and replaces an earlier one."""
    directory = state.ensure_directory("x")
    for document in ({"a": ["\udcff", None]}, []):
        state.write(directory, "name", document)
        assert state.read(directory, "name") == document
    assert state.names(directory) == ["name"]
    assert state.ensure_directory("x") == directory == str(root / "x")


def test_delete_removes_file_and_empty_directory(root: Path) -> None:
    """The last file takes its directory with it; absence is success."""
    directory = state.ensure_directory("x")
    state.write(directory, "a", 1)
    state.write(directory, "b", 2)
    state.delete(directory, "a")
    assert state.names(directory) == ["b"]
    state.delete(directory, "b")
    assert not os.path.exists(directory)
    state.delete(directory, "b")
    assert state.names(directory) == []
    assert state.remove_if_empty(directory) is True
    assert root.exists()


def test_directory_that_is_gone_is_made_again(root: Path) -> None:
    """A concurrent delete of the last file does not make a write fail."""
    directory = state.ensure_directory("x")
    os.rmdir(directory)
    state.write(directory, "a", 1)
    assert state.read(directory, "a") == 1
    assert mode(root / "x") == 0o700


def test_writers_and_deleters_at_once() -> None:
    """Every read gives a whole document or none, and no write fails."""
    directory = state.ensure_directory("x")
    documents = [{"who": who, "fill": "x" * 5000} for who in range(4)]
    stop = threading.Event()

    def write(document: object) -> None:
        for _ in range(60):
            state.write(directory, "same", document)
            state.delete(directory, "same")

    def read() -> list[object]:
        seen = []
        while not stop.is_set():
            seen.append(state.read(directory, "same"))
        return seen

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        for writer in [pool.submit(write, document) for document in documents]:
            writer.result()
        stop.set()
        assert all(found is None or found in documents for found in reader.result())
    assert not os.path.exists(directory)


def test_write_that_was_killed_leaves_nothing_behind_a_delete() -> None:
    """What a killed process had begun is not read, and goes with the next delete."""
    directory = state.ensure_directory("x")
    Path(directory, ".unfinished").write_text('{"half": ')
    assert state.names(directory) == []
    state.delete(directory, "a")
    assert not os.path.exists(directory)


def test_full_disk_keeps_the_earlier_document() -> None:
    """A write that fails half-way changes nothing and leaves no fragment."""
    directory = state.ensure_directory("x")
    state.write(directory, "a", "before")
    real = os.rename

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(CNIError, match="no space") as raised:
            state.write(directory, "a", "after")
    assert os.rename is real
    assert raised.value.code == 5
    assert state.read(directory, "a") == "before"
    assert os.listdir(directory) == ["a"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    """Neither a file nor a directory is reached through a link."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").write_text("7")
    directory = state.ensure_directory("x")
    os.symlink(target / "a", f"{directory}/a")
    assert state.read(directory, "a") is None
    state.write(directory, "a", 8)
    assert (target / "a").read_text() == "7"
    os.symlink(target, f"{directory}/link")
    with pytest.raises(CNIError, match="not a directory"):
        state.write(f"{directory}/link", "b", 9)
    assert os.listdir(target) == ["a"]


def test_unfinished_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    """A link in the place of the unfinished file is replaced, not followed."""
    directory = state.ensure_directory("x")
    os.symlink(tmp_path / "target", f"{directory}/.unfinished")
    state.write(directory, "a", 1)
    assert not (tmp_path / "target").exists()
    assert (os.listdir(directory), state.read(directory, "a")) == (["a"], 1)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000])
def test_unreadable_document_is_none(content: bytes) -> None:
    """A file that is no document is as good as none."""
    directory = state.ensure_directory("x")
    Path(directory, "a").write_bytes(content)
    assert state.read(directory, "a") is None


def test_what_is_no_file_is_none() -> None:
    """Directories, pipes and impossible names neither raise nor wait."""
    directory = state.ensure_directory("x")
    os.mkdir(f"{directory}/d")
    os.mkfifo(f"{directory}/p")
    names = ("d", "p", "absent", "a\0b", "x" * 300)
    assert [state.read(directory, name) for name in names] == [None] * 5


def test_lock_is_exclusive(root: Path) -> None:
    """Who holds a lock holds it alone, until the block ends."""
    order = []

    def second() -> None:
        with state.lock("l"):
            order.append("second")

    with state.lock("l"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert mode(root / "locks" / "l") == 0o600


def test_file_is_json_for_other_eyes() -> None:
    """What lies on disk is plain JSON, for an operator to read."""
    directory = state.ensure_directory("x")
    state.write(directory, "a", {"b": 1})
    assert json.loads(Path(directory, "a").read_text()) == {"b": 1}


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_readable_directory_can_be_reached(root: Path, umask: int) -> None:
    """Every user reads it and passes through those above, but lists none of them."""
    old = os.umask(umask)
    try:
        private = state.ensure_directory("bridge")
        directory = state.ensure_readable_directory("names", "n", "hosts")
        state.write_text(directory, "a", "10.0.0.1 web\n", 0o644)
    finally:
        os.umask(old)
    above = [root, root / "names", root / "names" / "n"]
    assert [mode(p) for p in above] == [0o711] * 3
    assert mode(root.parent) & 0o111 == 0o111
    assert (mode(directory), mode(f"{directory}/a")) == (0o755, 0o644)
    assert Path(directory, "a").read_text() == "10.0.0.1 web\n"
    assert mode(private) == 0o700


def test_readable_directory_is_not_a_link(root: Path, tmp_path: Path) -> None:
    """The mode of what a symbolic link points to is not touched."""
    target = tmp_path / "target"
    target.mkdir(0o700)
    state.ensure_directory("names")
    (root / "names" / "hosts").symlink_to(target)
    with pytest.raises(CNIError, match="not a directory"):
        state.ensure_readable_directory("names", "hosts")
    assert mode(target) == 0o700


class Refusing:
    """An open(2) that is refused for one path."""

    def __init__(self, path: str, number: int) -> None:
        self.path, self.number = path, number
        self.real = os.open

    def __call__(self, path: str, *args: int, **kwargs: int) -> int:
        if path == self.path:
            raise OSError(self.number, os.strerror(self.number))
        return self.real(path, *args, **kwargs)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EMFILE, 11),
        (errno.ENFILE, 11),
        (errno.ENOMEM, 11),
        (errno.EIO, 5),
        (errno.EACCES, 5),
    ],
)
def test_what_cannot_be_read_is_not_absent(
    monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """A file or directory that is refused is an error, which a retry may mend."""
    directory = state.ensure_directory("x")
    state.write(directory, "a", 1)
    looks = ((f"{directory}/a", state.read, "a"), (directory, state.names))
    for path, look, *names in looks:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", Refusing(path, number))
            with pytest.raises(CNIError) as raised:
                look(directory, *names)
        assert raised.value.code == code
        assert path in raised.value.msg
    assert state.read(directory, "a") == 1


def test_descriptors_that_ran_out_are_no_absence() -> None:
    """The kernel's own refusal: a process that may open nothing more."""
    directory = state.ensure_directory("x")
    state.write(directory, "a", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(CNIError, match="too many open files") as raised:
            state.read(directory, "a")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.code == 11


def test_stray_thing_is_told_and_goes_with_its_name() -> None:
    """Directory, pipe, link and another's file are no records, and can be removed."""
    directory = state.ensure_directory("x")
    state.write(directory, "kept", 1)
    os.mkdir(f"{directory}/d")
    os.mkfifo(f"{directory}/p")
    os.symlink("/nowhere", f"{directory}/l")
    state.write(directory, "f", 1)
    names = ["d", "p", "l"]
    if os.geteuid() == 0:
        os.chown(f"{directory}/f", 12345, 12345)
        names.append("f")
    for name in names:
        assert state.read(directory, name) is None
        assert f"{directory}/{name}" in log.remarks()[0]
        state.delete(directory, name)
    state.delete(directory, "f")
    assert os.listdir(directory) == ["kept"]
    os.mkdir(f"{directory}/kept2")
    state.write(directory, "kept2", 2)
    assert state.read(directory, "kept2") == 2


@pytest.mark.parametrize("which", ("link", "directory", "writable"))
def test_nothing_is_kept_where_others_lead_it(
    root: Path, tmp_path: Path, which: str
) -> None:
    """A link or directory of somebody else on the way to records is refused by name."""
    theirs = tmp_path / "theirs"
    (theirs / "cnipy").mkdir(parents=True)
    root.parent.parent.mkdir()
    if which == "link":
        root.parent.symlink_to(theirs)
        os.chown(root.parent, 65534, 65534, follow_symlinks=False)
    else:
        root.mkdir(parents=True)
        os.chown(root.parent, 65534 if which == "directory" else 0, 0)
        root.parent.chmod(0o777 if which == "writable" else 0o755)
    for use in (state.path, lambda: state.ensure_directory("bridge")):
        with pytest.raises(CNIError, match=r"use .*/run/cni/cnipy") as caught:
            use()
        assert caught.value.code == 5
    assert os.listdir(theirs / "cnipy") == []


def test_link_of_roots_own_is_followed(root: Path, tmp_path: Path) -> None:
    """An administrator may have records lie elsewhere, as with /var/run."""
    (tmp_path / "elsewhere").mkdir()
    root.parent.parent.mkdir()
    root.parent.symlink_to(tmp_path / "elsewhere")
    directory = state.ensure_directory("bridge")
    state.write(directory, "a", 1)
    assert state.read(state.path("bridge"), "a") == 1
    assert (tmp_path / "elsewhere/cnipy/bridge/a").exists()
