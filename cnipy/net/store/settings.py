# SPDX-License-Identifier: Apache-2.0
"""Where a store is, and how this node is known to it: the keys of `[store]`."""

from __future__ import annotations

import ipaddress
import os
import stat
from contextlib import contextmanager
from urllib.parse import urlsplit

from cni_common import shapes, trusted_path
from cni_common.spec.characters import is_directory
from cni_common.spec.errors import cause_of
from cni_common.spec.values import dataclass
from cnipy.net.store.errors import StoreError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Self

    from cni_common.shapes import Table

ETCD, FILE = KINDS = ("etcd", "file")
_PORT = 2379
_SECRET_MAX = 1 << 16  # bytes
_GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Endpoint:
    """A member of etcd."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Tell whether what is said to it does not leave this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True)
class Settings:
    """A store. `deadline` is for a call, `attempt` for each endpoint, in seconds."""

    kind: str
    endpoints: tuple[Endpoint, ...] = ()
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password_file: str = ""
    directory: str = ""
    deadline: float = 5.0
    attempt: float = 2.0

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the settings in a document; raises StoreError, naming the key."""
        try:
            unknown = sorted(document.keys() - _TABLE.keys())
            if unknown:
                raise ValueError(f"{unknown[0]}: no such key")
            found = cls(**shapes.members(document, _TABLE))
        except ValueError as error:
            raise StoreError(f"[store] {error}") from error
        cause = found.why_not()
        if cause:
            raise StoreError(f"[store] {cause}")
        return found

    def why_not(self) -> str:
        """Return which keys do not go together, or nothing."""
        if self.kind == FILE:
            return "" if self.directory else "directory: it is missing"
        if not self.endpoints:
            return "endpoints: there are none"
        if bool(self.certificate) != bool(self.key):
            return "certificate: it goes with key, and key with it"
        if bool(self.user) != bool(self.password_file):
            return "user: it goes with password_file, and password_file with it"
        if self.user:
            for each in self.endpoints:
                if not each.tls and not each.is_here:
                    return f"endpoints: a password is not sent to {each} in the clear"
        return ""


def secret(path: str) -> str:
    """Return the first line of a file that root alone reads; raises StoreError."""
    with opened(path, others=_GROUP_OR_OTHERS) as fd:
        try:
            return os.read(fd, _SECRET_MAX).decode().split("\n")[0]
        except OSError as error:
            raise StoreError(f"read {path}: {cause_of(error)}") from error
        except ValueError as error:
            raise StoreError(f"read {path}: {error}") from error


@contextmanager
def opened(path: str, *, others: int = 0) -> Iterator[int]:
    """Give a descriptor of a file that nobody but root could have written, and that
    nobody else has the rights `others` to; raises StoreError.
    """
    try:
        fd = trusted_path.open_file(path)
    except OSError as error:
        raise StoreError(f"read {path}: {cause_of(error)}") from error
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & others:
            msg = f"read {path}: it is to be of mode 0600, not {mode:04o}"
            raise StoreError(msg)
        yield fd
    finally:
        os.close(fd)


def _endpoint(value: object) -> Endpoint:
    parts = urlsplit(shapes.word(value))
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in {"http", "https"} or not parts.hostname or more:
        raise ValueError(f"{value!r:.80} is not https://HOST:PORT")
    parts.hostname.encode("idna")  # a ValueError for what no resolver takes
    return Endpoint(parts.hostname, parts.port or _PORT, parts.scheme == "https")


def _kind(value: object) -> str:
    if value in KINDS:
        return str(value)
    raise ValueError(f"{value!r:.80} is not one of {', '.join(KINDS)}")


def _absolute(value: object) -> str:
    if is_directory(shapes.text(value)):
        return str(value)
    raise ValueError(f"{value!r:.80} is no absolute path")


_PATH = (_absolute, "")
_TABLE: Table = {
    "kind": (_kind, shapes.REQUIRED),
    "endpoints": (shapes.listed(_endpoint), ()),
    "ca": _PATH,
    "certificate": _PATH,
    "key": _PATH,
    "user": (shapes.word, ""),
    "password_file": _PATH,
    "directory": _PATH,
}
