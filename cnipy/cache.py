# SPDX-License-Identifier: Apache-2.0
"""The result cache, in libcni's place and format (kind "cniCacheV1").

What containerd, CRI-O or cnitool attached is found here, and the other way round.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from cni_common import own_files
from cni_common.frame.log import remark
from cni_common.spec import environment
from cni_common.spec.errors import CNIError, Code, is_absence, of_os
from cni_common.spec.values import dataclass
from cnipy import result
from cnipy.attachment import Attachment
from cnipy.places import CACHE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.network import Network

KIND = "cniCacheV1"
# Not in `results`, where libcni would take it for an entry; one name, so that killed
# calls leave one file. Who holds the lock on the directory may write it.
_UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Entry:
    """An attachment as it was made: its network, list and result."""

    network: str
    attachment: Attachment
    config: bytes
    result: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Container ID and interface name."""
        return self.attachment.container_id, self.attachment.ifname


class Cache:
    """The directory `results` below a cache directory."""

    def __init__(self, directory: str = CACHE_DIRECTORY) -> None:
        self.directory = directory
        self.results = os.path.join(directory, "results")

    @contextlib.contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """GC runs alone; ADD and DEL of different containers may run side by side."""
        os.makedirs(self.results, 0o700, exist_ok=True)
        opened = os.open(self.results, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(opened)

    def path(self, network: str, attachment: Attachment) -> str:
        """Return the path of an attachment's file."""
        key = f"{network}-{attachment.container_id}-{attachment.ifname}"
        return os.path.join(self.results, key)

    def read(self, network: str, attachment: Attachment) -> Entry | None:
        """Return what is kept of an attachment; None if absent or damaged.

        libcni takes a damaged file for an absent one too, so that a DEL can go on;
        it is remarked.
        """
        return _entry(self.path(network, attachment))

    def entries(self, network: str) -> list[Entry]:
        """Return all that is kept of a network, in the order of the files' names."""
        return [entry for entry in self.all_entries() if entry.network == network]

    def all_entries(self) -> list[Entry]:
        """Return all that is kept, in the order of the files' names."""
        try:
            names = sorted(os.listdir(self.results))
        except FileNotFoundError:
            return []
        found = (_entry(os.path.join(self.results, name)) for name in names)
        return [entry for entry in found if entry]

    def write(
        self, network: Network, attachment: Attachment, result: dict[str, Any]
    ) -> None:
        """Keep an attachment's result: a whole file of mode 0600, in one step.

        Raises Code.IO_FAILURE.
        """
        document: dict[str, Any] = {
            "kind": KIND,
            "containerId": attachment.container_id,
            "config": base64.b64encode(network.text).decode(),
            "ifName": attachment.ifname,
            "networkName": network.name,
            "netns": attachment.netns,
            "cniArgs": attachment.args,
            "capabilityArgs": attachment.capability_args,
            "result": result,
        }
        kept = {key: value for key, value in document.items() if value}
        path = self.path(network.name, attachment)
        try:
            os.makedirs(self.results, 0o700, exist_ok=True)
            self._replace(path, kept)
        except OSError as error:
            raise of_os(f"write result {path}", error) from error

    def change(self, entry: Entry, changed: Entry) -> None:
        """Have the file of `entry` say what `changed` does of arguments and result.

        What else is in it stays, and so do owner and mode: it may be another runtime's.
        Raises Code.IO_FAILURE, also where the file is gone or no such file by now.
        """
        path = self.path(entry.network, entry.attachment)
        if not os.path.isfile(path) or os.path.islink(path):
            raise CNIError(Code.IO_FAILURE, f"change {path}: it is no file by now")
        try:
            with open(path, "rb") as file:
                document, there = json.load(file), os.fstat(file.fileno())
            document |= _arguments(changed.attachment)
            document["result"] = changed.result
            self._replace(path, document, there)
        except OSError as error:
            raise of_os(f"change {path}", error) from error
        except (ValueError, TypeError, RecursionError) as error:
            msg = f"change {path}: it is damaged by now"
            raise CNIError(Code.IO_FAILURE, msg, str(error)) from error

    def _replace(
        self, path: str, document: dict[str, Any], like: os.stat_result | None = None
    ) -> None:
        """Have a whole file at `path` in one step, of mode 0600 unless it is `like`."""
        with own_files.exclusively(os.path.realpath(self.directory)) as directory:
            own_files.remove(_UNFINISHED, directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            opened = os.open(_UNFINISHED, flags, 0o600, dir_fd=directory)
            with contextlib.ExitStack() as undo:
                undo.callback(own_files.remove, _UNFINISHED, directory)
                with os.fdopen(opened, "w", encoding="utf-8") as file:
                    if like is not None:
                        os.fchown(opened, like.st_uid, like.st_gid)
                        os.fchmod(opened, stat.S_IMODE(like.st_mode))
                    json.dump(document, file)
                    file.flush()
                    os.fsync(opened)
                os.rename(_UNFINISHED, path, src_dir_fd=directory)
                undo.pop_all()

    def delete(self, network: str, attachment: Attachment) -> None:
        """Forget an attachment; that it is unknown is success."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(network, attachment))


def _arguments(attachment: Attachment) -> dict[str, Any]:
    """Return CNI_ARGS and capability values as a file has them."""
    pairs = [list(pair) for pair in attachment.args]
    return {"cniArgs": pairs, "capabilityArgs": dict(attachment.capability_args)}


def _entry(path: str) -> Entry | None:
    try:
        with open(path, "rb") as file:
            document = json.load(file)
        if document.get("kind") != KIND or not document["ifName"]:
            return None
        kept, ifname = document.get("result") or {}, document["ifName"]
        return Entry(
            network=document["networkName"],
            attachment=Attachment(
                container_id=document["containerId"],
                # libcni has written it since 1.2.
                netns=document.get("netns") or result.namespace(kept, ifname),
                ifname=ifname,
                args=tuple(
                    (key, value) for key, value in document.get("cniArgs") or ()
                ),
                capability_args=document.get("capabilityArgs") or {},
            ),
            config=base64.b64decode(document.get("config") or ""),
            result=kept,
        )
    except OSError as error:
        if is_absence(error):
            return None
        raise of_os(f"read {path}", error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        remark(f"pass over {path!r}: it is no cached result")
        return None


def check_key(network: str, attachment: Attachment) -> None:
    """Raise CNIError unless all parts of a cache file's name are fit for one."""
    environment.validate_network_name(network)
    environment.validate_container_id(attachment.container_id)
    if not attachment.ifname:
        raise CNIError(Code.INVALID_ENVIRONMENT, "CNI_IFNAME is empty")
    environment.validate_ifname(attachment.ifname)
