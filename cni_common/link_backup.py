# SPDX-License-Identifier: Apache-2.0
"""The reference plugin's note of what a link was like: <dataDir>/<cid>_<ifname>.json.

It is written beside our own record, so that either plugin's DEL can put back what the
other has changed. The keys are those of the configuration.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager, suppress

from cni_common import shapes, trusted_path
from cni_common.spec import json_text
from cni_common.spec.errors import CNIError, is_absence, of_os

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cni_common.naming import Attachment
    from cni_common.shapes import Setting

DATA_DIR = "/run/cni/tuning"
_NOT_OURS = (FileNotFoundError, NotADirectoryError, PermissionError)
_NAME_MAX = 254  # with the dot of the unfinished file
_SIZE_MAX = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(directory: str, owner: Attachment, link: Mapping[str, Setting]) -> None:
    """Write down `link` as what the link of `owner` was like.

    Whole or not at all. A name that no file can have is left out: no DEL of the
    reference would find it. Raises Code.IO_FAILURE, also for a directory that others
    may write.
    """
    name = _name(owner)
    if len(os.fsencode(name)) > _NAME_MAX:
        return
    try:
        _make(directory)
        with _opened(directory) as dir_fd:
            fd = os.open(f".{name}", _WRITE, 0o600, dir_fd=dir_fd)
            with open(fd, "wb") as file:
                file.write(json_text.dumps_indented(dict(link), 1).encode())
            os.rename(f".{name}", name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError as error:
        raise _refused(directory, error) from error


def read(directory: str, owner: Attachment) -> dict[str, Setting] | None:
    """Return what was written down of the link, or None without a trusted file.

    Raises Code.IO_FAILURE or Code.TRY_AGAIN_LATER for one that cannot be read just now.
    """
    try:
        with _opened(directory) as dir_fd:
            fd = os.open(_name(owner), _READ, dir_fd=dir_fd)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return None
                content = file.read(_SIZE_MAX)
    except _NOT_OURS:
        return None
    except OSError as error:
        if is_absence(error):
            return None
        raise _refused(directory, error) from error
    return _settings(content)


def delete(directory: str, owner: Attachment) -> None:
    """Delete the backup of `owner`, if the directory is ours.

    Raises Code.IO_FAILURE.
    """
    name = _name(owner)
    try:
        with ExitStack() as opened:
            try:
                dir_fd = opened.enter_context(_opened(directory))
            except _NOT_OURS:
                return
            for each in (f".{name}", name):
                with suppress(FileNotFoundError):
                    os.unlink(each, dir_fd=dir_fd)
    except OSError as error:
        if len(os.fsencode(name)) <= _NAME_MAX:
            raise _refused(directory, error) from error


def check_ready(directory: str) -> None:
    """Raise Code.IO_FAILURE unless `directory` could take a backup."""
    from cni_common.frame import readiness  # noqa: PLC0415 - for STATUS alone

    try:
        if os.path.lexists(directory):
            with _opened(directory):
                pass
        if not readiness.takes_files(directory):
            msg = "cannot be written"
            raise PermissionError(0, msg)
    except OSError as error:
        raise _refused(directory, error) from error


def _make(directory: str) -> None:
    above, name = os.path.split(directory.rstrip("/"))
    dir_fd = trusted_path.open_directory(above, create=True)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=dir_fd)
    finally:
        os.close(dir_fd)


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    """Give a descriptor of the directory, if nobody but us may write in it."""
    above, name = os.path.split(directory.rstrip("/"))
    around = trusted_path.open_directory(above)
    try:
        dir_fd = os.open(name or ".", _DIRECTORY, dir_fd=around)
    finally:
        os.close(around)
    try:
        found = os.fstat(dir_fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            msg = "others may write in it"
            raise PermissionError(0, msg)
        yield dir_fd
    finally:
        os.close(dir_fd)


def _name(owner: Attachment) -> str:
    return f"{owner.container_id}_{owner.ifname}.json"


def _settings(content: bytes) -> dict[str, Setting]:
    """Return the settings in a backup, those apart that the kernel could not have."""
    try:
        document = json_text.loads(content)
    except (ValueError, RecursionError):
        return {}
    found = document if isinstance(document, dict) else {}
    kept: dict[str, Setting] = {}
    for key, shape in shapes.SETTINGS.items():
        with suppress(KeyError, ValueError):
            kept[key] = shape(found[key])
    return kept


def _refused(directory: str, error: OSError) -> CNIError:
    return of_os(f"use dataDir {directory}", error)
