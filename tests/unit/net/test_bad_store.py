# SPDX-License-Identifier: Apache-2.0
"""A member of etcd that hangs, dawdles or talks nonsense, and files that are none."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from etcd_member import Authority
from lab import PATIENCE, run

from cnipy.net.store import AwayError, Settings, StoreError, gateway, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cnipy.net.store import Store

    Say = Callable[[socket.socket], object]

DEADLINE = 0.5
OK = "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n"


@contextmanager
def member(say: Say, context: ssl.SSLContext | None = None) -> Iterator[Settings]:
    """Have a server that answers each question by `say`; give how it is reached."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            line = context.wrap_socket(connection, True) if context else connection
            while line.recv(1 << 16) and not ended.is_set():
                say(line)

    def accept() -> None:
        with suppress(OSError):
            while True:
                serving = threading.Thread(target=serve, args=(listening.accept()[0],))
                serving.start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept).start()
        scheme = "https" if context else "http"
        endpoint = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        parsed = Settings.parse({"kind": "etcd", "endpoints": [endpoint]})
        yield replace(parsed, deadline=DEADLINE, attempt=DEADLINE / 2)
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)


def answering(document: object) -> Say:
    """Return who answers with a document, or with a text that is none."""
    text = document if isinstance(document, str) else json.dumps(document)
    return lambda line: line.sendall((OK.format(len(text)) + text).encode())


def dripping(text: str) -> Say:
    """Return who says a byte at a time, and never comes to an end."""

    def say(line: socket.socket) -> None:
        until = time.monotonic() + 20 * DEADLINE * PATIENCE
        for each in text.encode():
            line.sendall(bytes([each]))
            time.sleep(0.01)
        while time.monotonic() < until:
            line.sendall(b" ")
            time.sleep(0.01)

    return say


@pytest.mark.parametrize(
    "say",
    [
        lambda _: time.sleep(DEADLINE * 2),
        dripping(""),
        dripping("HTTP/1.1 200 OK\r\nX: "),
        dripping(OK.format(999_999)),
        dripping("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"),
        lambda line: line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    ],
    ids=["silent", "no-header", "header", "body", "chunk", "continue"],
)
def test_member_that_comes_to_no_end_is_away(say: Say) -> None:
    """Its answer is waited for no longer than the deadline, whatever it says."""
    with member(say) as settings, open_store(settings) as store:
        start = time.monotonic()
        with pytest.raises(AwayError, match="timed out"):
            store.get("/cnipy/x")
        assert time.monotonic() - start < 2 * DEADLINE * PATIENCE


def test_handshake_that_comes_to_no_end_is_away() -> None:
    """Nor is one that says nothing to a client that wants to speak TLS."""
    with member(lambda _: time.sleep(DEADLINE * 2)) as settings:
        tls = replace(settings.endpoints[0], tls=True)
        with (
            open_store(replace(settings, endpoints=(tls,))) as store,
            pytest.raises(AwayError, match="timed out"),
        ):
            store.get("/cnipy/x")


QUESTIONS: tuple[Callable[[Store], object], ...] = (
    lambda store: store.get("/a"),
    lambda store: store.list("/a"),
    lambda store: store.create("/a", b""),
    lambda store: store.delete("/a"),
    lambda store: store.changes("/a", 7),
    lambda store: store.lease(15).keep(),
    lambda store: store.put("/a", b""),
)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<html>Bad Gateway</html>",
        "[1]",
        "[" * 99_999,
        '{"count": 1e999, "header": {"revision": 1e999}}',
        {"header": 5, "responses": 5, "result": [], "kvs": 5, "count": []},
        {"header": {"revision": []}, "responses": [5], "result": {"TTL": {}}},
        {"header": {"revision": "x"}, "responses": [{"response_range": 7}]},
        {"kvs": ["x"], "responses": [{"response_delete_range": "x"}]},
        {"error": "no", "code": [], "message": {}},
        {"error": {"code": {}, "message": 5}},
        {"kvs": [{"key": "YQ==", "mod_revision": "1"}], "more": True, "count": "9"},
    ],
    ids=repr,
)
def test_answer_without_sense_is_an_error_of_the_store(document: object) -> None:
    """Whatever was asked, and never one that nobody foresaw; some are no news."""
    with member(answering(document)) as settings, open_store(settings) as store:
        told = 0
        for ask in QUESTIONS:
            try:
                ask(store)
            except StoreError as error:
                told += bool(str(error))
        assert told


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nhelp", "status 500, 'help'"),
        ("HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (f"HTTP/1.1 200 OK\r\nX: {'x' * 99_999}\r\n\r\n", "header line"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (OK.format(1 << 30) + "x" * (3 << 20), "an answer of more than"),
    ],
    ids=["error", "redirect", "header", "ssh", "endless"],
)
def test_member_that_is_none_is_away_with_what_it_said(
    answer: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is followed, and no more than a limit is read."""
    monkeypatch.setattr(gateway, "_ANSWER_MAX", 1 << 20)
    with (
        member(lambda line: line.sendall(answer.encode())) as settings,
        open_store(replace(settings, deadline=5 * PATIENCE)) as store,
        pytest.raises(AwayError, match=says),
    ):
        store.get("/cnipy/x")


def test_certificate_that_is_over_is_refused_by_that(tmp_path: Path) -> None:
    """So is one of another name; the cause names the endpoint."""
    authority = Authority(tmp_path)
    for name, alternative, days, says in (
        ("over", "IP:127.0.0.1", 0, "certificate has expired"),
        ("other", "DNS:other", 9, "IP address mismatch"),
    ):
        authority.issue(name, alternative, days=days)
        time.sleep(1.1 if not days else 0)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        with (
            member(answering({}), context) as settings,
            open_store(replace(settings, ca=str(authority.certificate))) as store,
            pytest.raises(AwayError, match=f"refused: .*{says}"),
        ):
            store.get("/cnipy/x")


def _fifo(path: Path) -> str:
    os.mkfifo(path)
    return "it is no file"


def _directory(path: Path) -> str:
    path.mkdir()
    return "it is no file"


def _socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return "it is no file"


def _writable(path: Path) -> str:
    path.write_text("x")
    path.chmod(0o622)
    return "others may write it"


def _of_others(path: Path) -> str:
    path.write_text("x")
    os.chown(path, 12345, 12345)
    return "it belongs to user 12345"


def _endless(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "it is no file"


def _garbage(path: Path) -> str:
    path.write_text("x")
    path.chmod(0o600)
    return "read "


BAD = (_fifo, _directory, _socket, _writable, _of_others, _endless, _garbage)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("key", ["ca", "certificate", "key", "password_file"])
def test_file_that_is_none_is_named_and_not_waited_for(
    tmp_path: Path, key: str, bad: Callable[[Path], str]
) -> None:
    """Root's own links lead to a file; nothing else is read that others wrote."""
    authority = Authority(tmp_path)
    authority.issue("node", "DNS:node")
    paths = {
        "ca": str(authority.certificate),
        "certificate": str(tmp_path / "node.crt"),
        "key": str(tmp_path / "node.key"),
        "password_file": str(tmp_path / "bad"),
    }
    says = bad(tmp_path / "bad")
    if bad is _garbage and key == "password_file":
        return  # anything can be a password
    user = {"user": "node"} if key == "password_file" else {}
    if not user:
        del paths["password_file"]
    document: dict[str, Any] = {**paths, **user, key: str(tmp_path / "bad")}
    parsed = Settings.parse(
        {"kind": "etcd", "endpoints": ["https://[::1]:1"], **document}
    )
    with open_store(parsed) as store, pytest.raises(StoreError) as told:
        store.get("/cnipy/x")
    assert says in str(told.value)
    assert str(tmp_path / "bad") in str(told.value)


def test_key_is_nobody_elses_and_has_no_password(tmp_path: Path) -> None:
    """One that everybody reads is refused, and nobody is asked for a password."""
    authority = Authority(tmp_path)
    authority.issue("node", "DNS:node")
    key = tmp_path / "node.key"
    parsed = Settings.parse(
        {
            "kind": "etcd",
            "endpoints": ["https://[::1]:1"],
            "certificate": str(tmp_path / "node.crt"),
            "key": str(key),
        }
    )
    with open_store(parsed) as store:
        link = tmp_path / "real.key"
        key.rename(link)
        key.symlink_to(link.name)
        with pytest.raises(AwayError):
            store.get("/cnipy/x")
        link.chmod(0o644)
        with pytest.raises(StoreError, match="of mode 0600, not 0644"):
            store.get("/cnipy/x")
        key.unlink()
        cipher = ("-aes128", "-passout", "pass:secret")
        run("openssl", "ec", "-in", str(link), "-out", str(key), *cipher)
        with pytest.raises(StoreError, match="it is encrypted"):
            store.get("/cnipy/x")


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64])
def test_endpoint_that_no_resolver_takes_is_refused(host: str) -> None:
    """By its key, when it is read."""
    document = {"kind": "etcd", "endpoints": [f"http://{host}:2379"]}
    with pytest.raises(StoreError, match=r"^\[store\] endpoints: "):
        Settings.parse(document)
