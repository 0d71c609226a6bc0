# SPDX-License-Identifier: Apache-2.0
"""What every store does, a directory as well as etcd."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from etcd_member import Authority, Member
from lab import PATIENCE

from cnipy.net.store import (
    AwayError,
    DeniedError,
    Settings,
    Store,
    StoreError,
    open_store,
)
from cnipy.net.store.etcd import EtcdStore
from cnipy.net.store.file_store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "/cnipy/v1/apps/"
_numbers = iter(range(1000))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    member = Member(tmp_path_factory.mktemp("etcd"))
    member.start()
    yield member
    member.kill()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    directory = tmp_path_factory.mktemp("etcd-tls")
    member = Member(directory, Authority(directory))
    member.start()
    yield member
    member.kill()


def of_node(member: Member, name: str = "node", **more: str) -> Settings:
    """Return the settings of a node that has a certificate."""
    assert member.authority
    at = member.authority.directory
    if not (at / f"{name}.crt").exists():
        member.authority.issue(name, "DNS:node")
    certificate, key = str(at / f"{name}.crt"), str(at / f"{name}.key")
    return member.settings(certificate=certificate, key=key, **more)


@pytest.fixture(params=["file", "etcd", "etcd by TLS"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    kind = request.param
    if kind == "file":
        settings = Settings.parse({"kind": "file", "directory": str(tmp_path / "s")})
    elif kind == "etcd":
        settings = request.getfixturevalue("plain").settings()
    else:
        settings = of_node(request.getfixturevalue("guarded"))
    with open_store(settings, create=True) as opened:
        yield opened


@pytest.fixture
def base() -> str:
    """Return what no other test's keys begin with."""
    return f"{BASE}{next(_numbers)}/"


def test_key_is_created_once(store: Store, base: str) -> None:
    """The first one has it, another sees what the first wrote."""
    key = f"{base}blocks/10.64.3.0_26"
    assert store.get(key) is None
    made = store.create(key, b"one")
    assert made > 0
    assert store.create(key, b"two") == 0
    assert store.create(key, b"one") == 0
    for stale in (False, True):
        found = store.get(key, stale=stale)
        assert found is not None
        assert (found.key, found.value, found.revision) == (key, b"one", made)


def test_key_is_exchanged_as_it_was(store: Store, base: str) -> None:
    """Only who knows a key's revision writes it, and revisions grow."""
    key = f"{base}head"
    assert store.cas(key, b"x", 0) == 0
    assert store.cas(key, b"x", 7) == 0
    first = store.create(key, bytes(range(256)))
    second = store.cas(key, b"", first)
    assert second > first
    assert store.cas(key, b"late", first) == 0
    found = store.get(key)
    assert found is not None
    assert (found.value, found.revision) == (b"", second)


def test_key_is_deleted_as_it_was(store: Store, base: str) -> None:
    """Only what is there goes, and with a revision only if it has that."""
    key = f"{base}publisher"
    assert not store.delete(key)
    first = store.create(key, b"x")
    assert not store.delete(key, first + 1000)
    assert store.delete(key, first)
    assert store.get(key) is None
    assert store.create(key, b"y") > first
    assert store.delete(key)


def test_keys_are_listed_in_order(store: Store, base: str) -> None:
    """All below a prefix and nothing else, even where there are thousands."""
    names = [f"{base}nodes/{number:04}" for number in range(620)]
    many = names if not isinstance(store, FileStore) else names[:20]
    for name in reversed(many):
        store.create(name, name.encode())
    store.create(f"{base}nodes", b"no")
    store.create(f"{base}nodes2/x", b"no")
    found = store.list(f"{base}nodes/")
    assert [each.key for each in found] == many
    assert all(each.value.decode() == each.key for each in found)
    assert store.list(f"{base}none/") == ()
    assert [e.key for e in store.list(f"{base}nodes/000")] == many[:10]


def test_changes_are_those_since(store: Store, base: str) -> None:
    """What was written since, and how many keys there are."""
    prefix = f"{base}nodes/"
    store.create(f"{prefix}a", b"1")
    store.create(f"{prefix}b", b"1")
    every = store.changes(prefix)
    assert [each.key[-1] for each in every.entries] == ["a", "b"]
    assert every.count == 2
    same = store.changes(prefix, every.revision)
    assert (same.entries, same.revision, same.count) == ((), every.revision, 2)
    store.put(f"{prefix}b", b"2")
    store.put(f"{base}other", b"1")
    store.delete(f"{prefix}a")
    now = store.changes(prefix, every.revision)
    assert [(each.key[-1], each.value) for each in now.entries] == [("b", b"2")]
    assert (now.count, now.era) == (1, every.era)
    assert now.revision > every.revision


def test_put_writes_whatever_is_there(store: Store, base: str) -> None:
    """A key has the value afterwards, and one that had it before stays as it was."""
    first = store.put(f"{base}k", b"1")
    assert store.put(f"{base}k", b"1") == first
    assert store.put(f"{base}k", b"2") > first


def test_leases_end(store: Store, base: str) -> None:
    """What is written by a lease goes with its end, and one that is over stays so."""
    key = f"{base}publisher"
    lease = store.lease(60)
    revision = store.create(key, b"me", lease)
    assert revision
    assert lease.keep()
    assert store.cas(key, b"me again", revision, lease)
    (found,) = store.list(base)
    assert found.is_leased
    lease.end()
    assert store.get(key) is None
    assert store.list(base) == ()
    assert store.changes(base).count == 0
    assert not lease.keep()
    lease.end()
    assert store.create(key, b"other")
    (found,) = store.list(base)
    assert not found.is_leased
    with pytest.raises(StoreError):
        store.create(f"{base}y", b"1", lease)


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_values_are_bytes_up_to_a_limit(store: Store, base: str, size: int) -> None:
    """A value of a MiB is one, and a longer one is refused."""
    value = os.urandom(size)
    assert store.create(f"{base}k", value)
    found = store.get(f"{base}k")
    assert found is not None
    assert found.value == value
    with pytest.raises(StoreError, match="1048577 bytes are more than 1048576"):
        store.create(f"{base}l", b"x" * ((1 << 20) + 1))


def test_one_of_many_claims(store: Store, base: str) -> None:
    """Of eight who create a key at once one has it, by threads on one store."""
    won: list[tuple[int, int]] = []

    def claim(who: int) -> None:
        won.extend(
            (key, who)
            for key in range(10)
            if store.create(f"{base}blocks/{key}", str(who).encode())
        )

    threads = [threading.Thread(target=claim, args=(who,)) for who in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(key for key, _ in won) == list(range(10))
    for key, who in won:
        found = store.get(f"{base}blocks/{key}")
        assert found is not None
        assert found.value == str(who).encode()


# etcd alone.


def test_lease_of_etcd_runs_out(plain: Member, base: str) -> None:
    """A key of a lease that nobody keeps is gone after its time."""
    with open_store(plain.settings()) as store:
        store.create(f"{base}publisher", b"me", store.lease(1))
        until = time.monotonic() + 5 * PATIENCE
        while store.get(f"{base}publisher") and time.monotonic() < until:
            time.sleep(0.1)
        assert store.get(f"{base}publisher") is None


def test_other_member_is_asked(tmp_path: Path, plain: Member, base: str) -> None:
    """One that is dead or hangs is passed over, and the next call does not ask it."""
    (tmp_path / "m").mkdir()
    other = Member(tmp_path / "m")
    other.start()
    try:
        other.pause()
        dead = "http://127.0.0.1:1"
        endpoints = [dead, other.endpoint, plain.endpoint]
        parsed = Settings.parse({"kind": "etcd", "endpoints": endpoints})
        quick = Settings(parsed.kind, parsed.endpoints, attempt=PATIENCE)
        with open_store(quick) as store:
            assert store.put(f"{base}k", b"1")
            start = time.monotonic()
            assert store.get(f"{base}k")
            assert time.monotonic() - start < PATIENCE
            other.resume()
    finally:
        other.kill()


def test_write_without_an_answer_is_known_again(plain: Member, base: str) -> None:
    """What a member did before its answer was lost is no other's: it is done."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        parsed = plain.settings(endpoints=[f"http://127.0.0.1:{port}", plain.endpoint])
        with open_store(parsed) as store:
            assert isinstance(store, EtcdStore)
            store._gateway._members = list(parsed.endpoints)
            passing = threading.Thread(target=_swallow_answer, args=(listening, plain))
            passing.start()
            made = store.create(f"{base}k", b"mine")
            passing.join()
            assert made
            assert store.create(f"{base}k", b"mine") == 0
            found = store.get(f"{base}k")
            assert found is not None
            assert found.revision == made


def test_member_that_is_being_stopped_closes_after_its_answer() -> None:
    """Such a connection is not used again: the next question is asked on a new one."""
    answer = b'{"header": {"revision": "1"}}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n"
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    asked.append(connection.recv(1 << 16))
                    connection.sendall(f"{head}\r\n".encode() + answer)

        serving = threading.Thread(target=serve)
        serving.start()
        port = listening.getsockname()[1]
        endpoints = [f"http://127.0.0.1:{port}"]
        settings = Settings.parse({"kind": "etcd", "endpoints": endpoints})
        with open_store(settings) as store:
            assert store.get(f"{BASE}one") is None
            assert store.get(f"{BASE}two") is None
        serving.join(timeout=10 * PATIENCE)
    assert len(asked) == 2


def _swallow_answer(listening: socket.socket, member: Member) -> None:
    """Pass a question on to a member, and nothing back."""
    asking, _ = listening.accept()
    with asking, socket.create_connection((member.address, member.port)) as asked:
        while part := asking.recv(4096):
            asked.sendall(part)
            if b'"failure"' in part:
                break
        asked.recv(4096)


def test_nobody_answers(tmp_path: Path) -> None:
    """Every endpoint is named with its cause, within the deadline."""
    member = Member(tmp_path)
    member.start()
    member.pause()
    try:
        endpoints = ["http://127.0.0.1:1", member.endpoint]
        parsed = Settings.parse({"kind": "etcd", "endpoints": endpoints})
        quick = Settings(parsed.kind, parsed.endpoints, deadline=0.5, attempt=0.2)
        with open_store(quick) as store, pytest.raises(AwayError) as away:
            store.get("/cnipy/x")
    finally:
        member.resume()
        member.kill()
    text = str(away.value)
    assert "http://127.0.0.1:1: Connection refused" in text
    assert f"{member.endpoint}: timed out" in text


def test_kept_connection_outlives_its_member(tmp_path: Path, base: str) -> None:
    """After a member was killed and started, the next call is answered."""
    member = Member(tmp_path)
    member.start()
    with open_store(member.settings()) as store:
        revision = store.put(f"{base}k", b"1")
        member.kill()
        with pytest.raises(AwayError):
            store.get(f"{base}k")
        member.start()
        found = store.get(f"{base}k")
        assert found is not None
        assert found.revision == revision
        member.kill()


def test_certificates_are_asked_for(guarded: Member, tmp_path: Path) -> None:
    """A member of another authority is not believed, nor a node without certificate."""
    with (
        open_store(guarded.settings()) as store,
        pytest.raises(AwayError, match=r"\[store\] has n(one|o certificate for it)$"),
    ):
        store.get("/x")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    good = of_node(guarded)
    wrong = Settings(
        good.kind, good.endpoints, str(other.certificate), good.certificate, good.key
    )
    with (
        open_store(wrong) as store,
        pytest.raises(AwayError, match="its certificate is refused: "),
    ):
        store.get("/x")
    lost = Settings(good.kind, good.endpoints, str(tmp_path / "none"))
    with (
        open_store(lost) as store,
        pytest.raises(StoreError, match=r"read \S*/none: no such file or directory$"),
    ):
        store.get("/x")


def test_file_that_is_not_what_it_should_be_is_named(
    guarded: Member, tmp_path: Path
) -> None:
    """Which of the three it is, and in words that are not the library's."""
    good = of_node(guarded)
    absent, empty = str(tmp_path / "absent"), tmp_path / "empty"
    empty.write_text("")
    assert guarded.authority
    other = guarded.authority.issue("stranger", "DNS:stranger", subject="/O=nodes")
    assert other.exists()
    for changed, cause in (
        ({"ca": str(empty)}, f"read {empty}: no certificate in PEM"),
        ({"key": absent}, f"read {absent}: no such file or directory"),
        ({"certificate": absent}, f"read {absent}: no such file or directory"),
        (
            {"certificate": good.key},
            f"read {good.key} and {good.key}: no certificate and its key in PEM",
        ),
        (
            {"certificate": str(other)},
            f"read {good.key}: it is the key of another certificate",
        ),
    ):
        with (
            open_store(replace(good, **changed)) as store,
            pytest.raises(StoreError) as refusal,
        ):
            store.get("/x")
        assert str(refusal.value) == cause


def test_member_that_speaks_no_tls_is_told(plain: Member, guarded: Member) -> None:
    """It is not a message of a library that says so."""
    settings = plain.settings()
    asked = replace(
        of_node(guarded), endpoints=(replace(settings.endpoints[0], tls=True),)
    )
    with (
        open_store(asked) as store,
        pytest.raises(AwayError, match="as one does that speaks no TLS"),
    ):
        store.get("/x")


def test_node_has_the_rights_of_its_user(tmp_path: Path) -> None:
    """With a user per node, as the document sets them up, others' records are safe."""
    member = Member(tmp_path, Authority(tmp_path), arguments=("--bcrypt-cost", "4"))
    member.start()
    root = {"ETCDCTL_USER": "root:secret"}
    try:
        member.ctl("user", "add", "root:secret")
        member.ctl("user", "grant-role", "root", "root")
        member.ctl("role", "add", "web-1")
        member.ctl(
            *("role", "grant-permission", "web-1", "readwrite"), f"{BASE}nodes/web-1"
        )
        member.ctl("user", "add", "web-1:password")
        member.ctl("user", "grant-role", "web-1", "web-1")
        member.ctl("auth", "enable")
        password = tmp_path / "password"
        password.write_text("password\n")
        password.chmod(0o600)
        known = of_node(member, user="web-1", password_file=str(password))
        with open_store(known) as store:
            assert store.put(f"{BASE}nodes/web-1", b"mine")
            with pytest.raises(DeniedError, match="permission denied"):
                store.put(f"{BASE}nodes/web-2", b"theirs")
            # Tokens do not outlive what changes rights.
            member.ctl("role", "add", "other", **root)
            assert store.put(f"{BASE}nodes/web-1", b"mine still")
        with (
            open_store(of_node(member)) as store,
            pytest.raises(DeniedError, match="so this node asks as nobody"),
        ):
            store.get(f"{BASE}nodes/web-1")
        assert member.authority
        member.authority.issue("named", "DNS:n", subject="/CN=web-1")
        with (
            open_store(of_node(member, "named")) as store,
            pytest.raises(DeniedError, match="to have none in its subject"),
        ):
            store.get(f"{BASE}nodes/web-1")
        password.write_text("wrong")
        with (
            open_store(known) as store,
            pytest.raises(DeniedError, match=r"authenticate web-1: .*password"),
        ):
            store.get(f"{BASE}nodes/web-1")
        password.chmod(0o644)
        with (
            open_store(known) as store,
            pytest.raises(StoreError, match="of mode 0600, not 0644"),
        ):
            store.get(f"{BASE}nodes/web-1")
    finally:
        member.kill()


# A directory alone.


def test_directory_that_is_no_store_is_away(tmp_path: Path) -> None:
    """A file system that is not mounted is not taken for a store that is empty."""
    store = FileStore(str(tmp_path))
    for ask in (store.get, store.list, store.delete, store.changes):
        with pytest.raises(AwayError, match="perhaps it is not mounted"):
            ask("/cnipy/x")
    with pytest.raises(AwayError):
        store.create("/cnipy/x", b"")
    assert list(tmp_path.iterdir()) == []
    FileStore(str(tmp_path), create=True)
    assert store.create("/cnipy/x", b"")
    FileStore(str(tmp_path), create=True)
    assert store.get("/cnipy/x")


def test_lease_of_files_goes_by_its_clock(tmp_path: Path) -> None:
    """It ends with its time, and when the clock is set back."""
    now = [1000.0]
    store = FileStore(str(tmp_path), create=True, clock=lambda: now[0])
    lease = store.lease(15)
    store.create("/k", b"", lease)
    now[0] += 14
    assert lease.keep()
    now[0] += 14
    assert store.get("/k")
    now[0] += 2
    assert store.get("/k") is None
    lease = store.lease(15)
    assert store.create("/k", b"", lease)
    now[0] -= 3600
    assert store.get("/k") is None
    assert len(os.listdir(tmp_path / "leases")) == 1


def test_damaged_file_is_named(tmp_path: Path) -> None:
    """A file that says nothing is refused by its path, and others are read."""
    store = FileStore(str(tmp_path), create=True)
    store.create("/a/x", b"1")
    store.create("/a/y", b"1")
    path = tmp_path / "keys/a/=x"
    for garbage in (b"", b"\n", b"{}\n", b"[" * 9999, b'{"revision": -1}\n'):
        path.write_bytes(garbage)
        with pytest.raises(StoreError, match=r"keys/a/=x: .* it is damaged"):
            store.get("/a/x")
    assert store.get("/a/y")
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(StoreError):
        store.get("/a/x")


def test_calls_that_are_killed_leave_one_file_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they began is no key, and the next call begins where they did."""
    store = FileStore(str(tmp_path), create=True)
    store.create("/a/x", b"1")
    before = [*tmp_path.rglob("*")]
    for at in range(3):
        if (child := os.fork()) == 0:
            monkeypatch.setattr(os, "rename", lambda *_: os._exit(9))
            store.create(f"/a/y{at}", b"2")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len([*tmp_path.rglob("*")]) == len(before) + 1
    assert [each.key for each in store.list("/a/")] == ["/a/x"]
    assert store.create("/a/y", b"2")
    assert len([*tmp_path.rglob("*")]) == len(before) + 1


def test_keys_stay_in_the_directory(tmp_path: Path) -> None:
    """What would lead elsewhere is no key."""
    store = FileStore(str(tmp_path / "s"), create=True)
    for key in ("/../x", "/a/../../x", "/a//b", "", "/", "/a/" + "b" * 255, "/=a/b"):
        with pytest.raises(StoreError, match="is no key"):
            store.create(key, b"")
    assert [each.name for each in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("name", ["era", "revision", "keys/a/=x"])
def test_pipe_in_a_store_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """It is named."""
    store = FileStore(str(tmp_path), create=True)
    store.create("/a/x", b"1")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match=f"{name}: it is no file"):
        store.put("/a/x", b"2")


def test_directory_in_the_way_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """A key below it is as if it were not there."""
    store = FileStore(str(tmp_path / "s"), create=True)
    store.create("/a/b/x", b"1")
    (tmp_path / "s/keys/a/b").rename(tmp_path / "elsewhere")
    (tmp_path / "s/keys/a/b").symlink_to(tmp_path / "elsewhere")
    assert store.get("/a/b/x") is None
    assert store.list("/a/") == ()


def test_held_lock_is_not_waited_for_forever(tmp_path: Path) -> None:
    """Where another machine has the lock and hangs, the store is away."""
    import fcntl  # noqa: PLC0415 - the other machine

    store = FileStore(str(tmp_path), create=True, deadline=0.05)
    with (tmp_path / "lock").open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AwayError, match="somebody holds it all the time"):
            store.create("/k", b"")
    assert store.create("/k", b"")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "kind: it is missing"),
        ({"kind": "zk"}, "kind: 'zk' is not one of etcd, file"),
        ({"kind": "file"}, "directory: it is missing"),
        ({"kind": "file", "directory": "x"}, "directory: 'x' is no absolute path"),
        ({"kind": "etcd"}, "endpoints: there are none"),
        ({"kind": "etcd", "endpoints": ["h:2379"]}, "is not https://HOST:PORT"),
        ({"kind": "etcd", "endpoints": ["http://u:p@h"]}, "is not https://HOST:PORT"),
        ({"kind": "etcd", "endpoints": ["http://h:x"]}, "endpoints: "),
        ({"kind": "etcd", "endpoints": ["http://h/v3"]}, "is not https://HOST:PORT"),
        ({"kind": "etcd", "endpoints": ["http://h"], "ca": 1}, "ca: 1 is not a text"),
        ({"kind": "etcd", "endpoints": ["http://h"], "key": "/k"}, "certificate: it"),
        ({"kind": "etcd", "endpoints": ["http://h"], "user": "u"}, "user: it goes"),
        (
            {
                "kind": "etcd",
                "endpoints": ["http://h"],
                "user": "u",
                "password_file": "/p",
            },
            "a password is not sent to http://h:2379 in the clear",
        ),
        ({"kind": "etcd", "endpoint": []}, "endpoint: no such key"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    document: dict[str, object], says: str
) -> None:
    """The text names the key and what is wrong with it."""
    with pytest.raises(StoreError) as refusal:
        Settings.parse(document)
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("[store] ")
