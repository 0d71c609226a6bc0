# SPDX-License-Identifier: Apache-2.0
"""What a node keeps of a network on disk, so that it needs no store to go on.

`/var/lib/cnipy/net/<network>/` has `config`, `own`, the node's own record, and `peers`,
the records of the others, each whole or absent. Beside them lies the file of
`cni_common/pool/held.py`. A directory with `own` is a network that the node has joined.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from cni_common import shapes, state, trusted_path
from cni_common.own_files import READ, refusal, remove, replace_synced, strange
from cni_common.pool import held
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, Code, is_absence
from cni_common.spec.values import dataclass
from cnipy.net.documents import RecordError
from cnipy.net.records import NetworkConfig, NodeRecord, is_label

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from cni_common.shapes import Table

_CONFIG, _OWN, _PEERS, _CIDRS = "config", "own", "peers", "cidrs"
_LONGEST = 1 << 26  # bytes: 5,000 records have 2 MB
_PRIVATE = 0o700
_HEARD: Table = {
    "head": (shapes.number, shapes.REQUIRED),
    "nodes": (shapes.mapping, shapes.REQUIRED),
}


@dataclass(frozen=True)
class Cache:
    """What is kept of the network `name`."""

    name: str

    @property
    def path(self) -> str:
        """Its directory."""
        return os.path.join(held.ROOT, self.name)

    def config(self) -> NetworkConfig | None:
        """Return the network's configuration, None without one.

        Raises Code.DECODE_FAILURE and Code.IO_FAILURE for what is not to be believed.
        """
        content = self._read(_CONFIG)
        try:
            return None if content is None else NetworkConfig.parse(content, self.name)
        except RecordError as error:
            raise self._damaged(_CONFIG, str(error)) from error

    def own(self, config: NetworkConfig) -> NodeRecord | None:
        """Return the node's own record as `config` does its network's."""
        content = self._read(_OWN)
        try:
            if content is None:
                return None
            document = shapes.mapping(json_text.loads(content))
            return NodeRecord.of(document, str(document.get("node")), config)
        except (RecordError, ValueError, RecursionError) as error:
            raise self._damaged(_OWN, str(error)) from error

    def peers(self, config: NetworkConfig) -> dict[str, NodeRecord] | None:
        """Return the records of the other nodes that are to be believed.

        None where there are none, or no document: the store has them, and the kernel
        keeps what it has until they are known.
        """
        heard = self._heard()
        if heard is None:
            return None
        found = {}
        for node, document in heard["nodes"].items():
            with suppress(RecordError):
                found[node] = NodeRecord.of(document, node, config)
        return found

    def seen(self) -> int:
        """Return the highest number of a head that the node has seen, or 0."""
        heard = self._heard()
        return heard["head"] if heard else 0

    def pod_cidrs(self) -> tuple[str, ...]:
        """Return the words by which the node is told its blocks, none without any."""
        content = self._read(_CIDRS)
        try:
            return () if content is None else tuple(content.decode().split())
        except UnicodeDecodeError as error:
            raise self._damaged(_CIDRS, str(error)) from error

    def keep_config(self, config: NetworkConfig) -> None:
        """Replace the network's configuration; raises Code.IO_FAILURE."""
        self._write(_CONFIG, config.content())

    def keep_own(self, record: NodeRecord) -> None:
        """Replace the node's own record; raises Code.IO_FAILURE."""
        self._write(_OWN, record.content())

    def keep_peers(self, peers: Mapping[str, NodeRecord], seen: int = 0) -> None:
        """Replace the records of the others, and `seen`; raises Code.IO_FAILURE."""
        nodes = {node: record.document() for node, record in sorted(peers.items())}
        content = json_text.dumps({"head": seen, "nodes": nodes}).encode()
        self._write(_PEERS, content)

    def keep_pod_cidrs(self, words: tuple[str, ...]) -> None:
        """Replace what the node is told of its blocks; raises Code.IO_FAILURE."""
        self._write(_CIDRS, "\n".join(words).encode())

    def remove(self) -> None:
        """Remove all that is kept of the network; absence is success.

        `own` goes last, so that a call that was killed is found again. Raises
        Code.IO_FAILURE.
        """
        with refusal(f"remove {self.path}", absence=True):
            fd = trusted_path.open_directory(self.path)
            try:
                names = sorted(os.listdir(fd), key=lambda name: name == _OWN)
                for name in names:
                    remove(name, fd)
            finally:
                os.close(fd)
            os.rmdir(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one who changes what the node has of the network.

        Raises Code.IO_FAILURE.
        """
        with state.lock(f"net-{self.name}"):
            yield

    def _heard(self) -> dict[str, Any] | None:
        content = self._read(_PEERS)
        if content is None:
            return None
        try:
            return shapes.members(shapes.mapping(json_text.loads(content)), _HEARD)
        except (ValueError, RecursionError):
            return None

    def _read(self, name: str) -> bytes | None:
        full = os.path.join(self.path, name)
        with refusal(f"read {full}", absence=True):
            directory = trusted_path.open_directory(self.path)
            try:
                trusted_path.check_private(directory)
                fd = os.open(name, READ, dir_fd=directory)
            except OSError as error:
                if is_absence(error) and os.path.lexists(full):
                    raise self._damaged(name, "it is no file") from error
                raise
            finally:
                os.close(directory)
            cause = strange(os.fstat(fd), _LONGEST)
            if cause:
                os.close(fd)
                raise self._damaged(name, cause)
            with open(fd, "rb") as file:
                return file.read()
        return None

    def _write(self, name: str, content: bytes) -> None:
        with refusal(f"write {os.path.join(self.path, name)}"):
            directory = trusted_path.open_directory(self.path, create=True)
            try:
                os.fchmod(directory, _PRIVATE)
                replace_synced(directory, name, content)
            finally:
                os.close(directory)

    def _damaged(self, name: str, cause: str) -> CNIError:
        hint = (
            f"`cnipy net leave {self.name}` removes what is kept, and join begins anew"
        )
        msg = f"read {os.path.join(self.path, name)}: {cause}"
        return CNIError(Code.DECODE_FAILURE, msg, hint)


def joined() -> list[str]:
    """Return the networks that this node has joined; raises Code.IO_FAILURE."""
    with refusal(f"list {held.ROOT}", absence=True):
        fd = trusted_path.open_directory(held.ROOT)
        try:
            names = sorted(os.listdir(fd))
        finally:
            os.close(fd)
        return [each for each in names if is_label(each) and _is_joined(each)]
    return []


def _is_joined(name: str) -> bool:
    return os.path.lexists(os.path.join(held.ROOT, name, _OWN))
