# SPDX-License-Identifier: Apache-2.0
"""A real etcd, and certificates for it, in a directory of the test's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab import PATIENCE, need, run

from cnipy.net.store import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LATEST = 20 * PATIENCE  # seconds until it answers


class Authority:
    """A certificate authority; `issue` makes a key and a certificate by it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        _new_key(self._key)
        run(
            *("openssl", "req", "-x509", "-new", "-key", str(self._key)),
            *("-subj", "/CN=authority", "-days", "2", "-out", str(self.certificate)),
        )

    def issue(
        self, name: str, alternative: str, subject: str = "/O=nodes", *, days: int = 2
    ) -> Path:
        """Return the certificate NAME.crt; its key is NAME.key."""
        made, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        request, more = made.with_suffix(".csr"), made.with_suffix(".ext")
        _new_key(key)
        run(
            *("openssl", "req", "-new", "-key", str(key), "-subj", subject),
            *("-out", str(request)),
        )
        usage = "extendedKeyUsage=serverAuth,clientAuth"
        more.write_text(f"subjectAltName={alternative}\n{usage}\n")
        run(
            *("openssl", "x509", "-req", "-in", str(request), "-days", str(days)),
            *("-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-extfile", str(more), "-out", str(made)),
        )
        return made


def _new_key(path: Path) -> None:
    command = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout")
    run(*command, "-out", str(path))


@dataclass
class Member:
    """An etcd of one member, reached at `address`; with an authority by TLS alone."""

    directory: Path
    authority: Authority | None = None
    address: str = "127.0.0.1"
    port: int = 0
    name: str = "default"
    peers: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """Where clients ask."""
        scheme = "https" if self.authority else "http"
        return f"{scheme}://{self.address}:{self.port}"

    def settings(self, **more: Any) -> Settings:
        """Return what a store of this member is opened with."""
        keys: dict[str, Any] = {"kind": "etcd", "endpoints": [self.endpoint]}
        if self.authority:
            keys["ca"] = str(self.authority.certificate)
        return Settings.parse({**keys, **more})

    def start(self) -> None:
        """Have it answer; what it had is there still."""
        etcd = need("etcd")
        self.port = self.port or _free_port(self.address)
        free = f"http://{self.address}:{_free_port(self.address)}"
        peer = self.peers.setdefault(self.name, free)
        log = (self.directory / "etcd.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    *(etcd, "--name", self.name),
                    *("--data-dir", str(self.directory / "data")),
                    *("--listen-client-urls", self.endpoint),
                    *("--advertise-client-urls", self.endpoint),
                    *("--listen-peer-urls", peer),
                    *("--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", ",".join(map("=".join, self.peers.items()))),
                    *("--logger", "zap", "--log-level", "warn"),
                    *self._tls(),
                    *self.arguments,
                ],
                stdout=log,
                stderr=log,
            )
        if len(self.peers) == 1:
            self._wait()

    def _tls(self) -> Iterator[str]:
        if self.authority:
            at = self.authority.directory
            if not (at / "member.crt").exists():
                name = f"IP:{self.address}"
                self.authority.issue("member", name, subject="/CN=etcd")
            yield from ("--cert-file", str(at / "member.crt"))
            yield from ("--key-file", str(at / "member.key"), "--client-cert-auth")
            yield from ("--trusted-ca-file", str(at / "ca.crt"))

    def _wait(self) -> None:
        until = time.monotonic() + _LATEST
        while time.monotonic() < until:
            with suppress(OSError):
                if self.authority:
                    # A handshake without a certificate says that it listens.
                    socket.create_connection((self.address, self.port), 1).close()
                    return
                with urllib.request.urlopen(f"{self.endpoint}/health", timeout=1):
                    return
            time.sleep(0.02)
        msg = (self.directory / "etcd.log").read_text()[-2000:]
        raise AssertionError(f"etcd does not answer: {msg}")

    @property
    def leads(self) -> bool:
        """Tell whether it is the leader of its cluster."""
        (status,) = json.loads(self.ctl("endpoint", "status", "--write-out", "json"))
        header = status["Status"]["header"]
        return bool(status["Status"]["leader"] == header["member_id"])

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Have it hang: it takes connections, and says nothing."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)
        # Until all its threads have stopped, one may answer yet.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)

    def ctl(self, *command: str, **environment: str) -> str:
        """Return what `etcdctl` prints."""
        options = ["--endpoints", self.endpoint]
        if self.authority:
            at = self.authority.directory
            if not (at / "ctl.crt").exists():
                self.authority.issue("ctl", "DNS:ctl")
            options += ["--cacert", str(at / "ca.crt")]
            options += ["--cert", str(at / "ctl.crt"), "--key", str(at / "ctl.key")]
        env = {**os.environ, "ETCDCTL_API": "3", **environment}
        return run(need("etcdctl"), *options, *command, env=env)


def cluster(directory: Path) -> list[Member]:
    """Return three members of one etcd, which answer."""
    peers = {f"m{n}": f"http://127.0.0.1:{_free_port('127.0.0.1')}" for n in range(3)}
    members = []
    for name in peers:
        (directory / name).mkdir()
        members.append(Member(directory / name, name=name, peers=peers))
        members[-1].start()
    for each in members:
        each._wait()
    return members


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as taken:
        return int(taken.getsockname()[1])
