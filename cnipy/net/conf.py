# SPDX-License-Identifier: Apache-2.0
"""/etc/cnipy/net.toml: what a node is told of the store and of itself."""

from __future__ import annotations

import tomllib

from pydantic import Field

from cni_common import trusted_path
from cni_common.spec.errors import CNIError, Code, invalid_key, of_os
from cni_common.spec.model import GoModel, parse
from cni_common.spec.typed import Literal
from cnipy.net.records import is_label
from cnipy.net.store import Settings, StoreError

FILE = "/etc/cnipy/net.toml"
_WHAT = "configuration of net"


class Store(GoModel):
    """Where the records of all nodes are."""

    kind: Literal["etcd", "file"]
    endpoints: list[str] = Field(default_factory=list)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password_file: str = Field("", alias="password_file")
    directory: str = ""


class NetFile(GoModel):
    """The whole file."""

    store: Store
    node: str = ""
    underlay: list[str] = Field(default_factory=list)
    networks: list[str] = Field(default_factory=list)

    def settings(self) -> Settings:
        """Return the store's settings; raises StoreError for what makes no sense."""
        written = {key: getattr(self.store, key) for key in Store.model_fields}
        return Settings.parse({key: value for key, value in written.items() if value})


def read(file: str = FILE) -> NetFile:
    """Return what is in the file at the absolute path `file`.

    Raises Code.INVALID_CONFIG for what is none and where there is none, and
    Code.IO_FAILURE for a file that others could have written.
    """
    try:
        document = tomllib.loads(_content(file).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CNIError(Code.INVALID_CONFIG, f"parse {file}: {error}") from error
    conf = parse(NetFile, document, f"{_WHAT} {file}")
    unknown = [path for path, _ in NetFile.unread(document)]
    if unknown:
        raise _unknown(file, unknown)
    if conf.node and not is_label(conf.node):
        cause = f"node: {conf.node!r:.80} is no label of the DNS in lower case"
        raise invalid_key(f"{_WHAT} {file}", cause)
    try:
        conf.settings()
    except StoreError as error:
        raise invalid_key(f"{_WHAT} {file}", str(error)) from error
    return conf


def _unknown(file: str, paths: list[tuple[str | int, ...]]) -> CNIError:
    """Return the error of keys that nobody reads, which says what there is."""
    shown = " ".join(".".join(map(str, path)) for path in paths)
    own, store = (" ".join(model.model_fields) for model in (NetFile, Store))
    msg = f"parse {_WHAT} {file}: no such key: {shown}"
    return CNIError(Code.INVALID_CONFIG, msg, f"there are {own}; in [store] {store}")


def _content(file: str) -> bytes:
    try:
        return trusted_path.read(file)
    except FileNotFoundError as error:
        hint = "it says where the store is: docs/many-nodes.md"
        msg = f"read {file}: there is no such file"
        raise CNIError(Code.INVALID_CONFIG, msg, hint) from error
    except OSError as error:
        raise of_os(f"read {file}", error) from error
