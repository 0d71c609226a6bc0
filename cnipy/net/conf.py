# SPDX-License-Identifier: Apache-2.0
"""/etc/cnipy/net.toml: what a node is told of the store and of itself."""

from __future__ import annotations

import os
import tomllib

from pydantic import Field

from cni_common import own_files, trusted_path
from cni_common.spec.errors import CNIError, Code, invalid_key, of_os
from cni_common.spec.model import GoModel, parse
from cni_common.spec.typed import Literal
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
    unknown = [".".join(map(str, path)) for path, _ in NetFile.unread(document)]
    if unknown:
        raise invalid_key(f"{_WHAT} {file}", f"no such key: {' '.join(unknown)}")
    try:
        conf.settings()
    except StoreError as error:
        raise invalid_key(f"{_WHAT} {file}", str(error)) from error
    return conf


def _content(file: str) -> bytes:
    directory, name = os.path.split(file)
    try:
        dir_fd = trusted_path.open_directory(directory)
        try:
            fd = os.open(name, own_files.READ, dir_fd=dir_fd)
        finally:
            os.close(dir_fd)
        with open(fd, "rb") as opened:
            cause = own_files.strange(os.fstat(opened.fileno()))
            if cause:
                raise CNIError(Code.IO_FAILURE, f"read {file}: {cause}")
            return opened.read()
    except FileNotFoundError as error:
        hint = "it says where the store is: docs/many-nodes.md"
        msg = f"read {file}: there is no such file"
        raise CNIError(Code.INVALID_CONFIG, msg, hint) from error
    except OSError as error:
        raise of_os(f"read {file}", error) from error
