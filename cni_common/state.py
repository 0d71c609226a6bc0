# SPDX-License-Identifier: Apache-2.0
"""Files under /run/cni/cnipy: what was done, written down beside what it describes.

The directory lies on a tmpfs, so it vanishes at a reboot together with links and
rules. Directories have mode 0700, files 0600; symbolic links are not followed.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/run/cni/cnipy"
NAME_MAX = 200


def path(*parts: str) -> str:
    """Return the path of a state file or directory."""
    return os.path.join(ROOT, *parts)


def ensure_directory(*parts: str) -> str:
    """Return the path of a directory that exists now, with all above it."""
    full = path(*parts)
    try:
        os.mkdir(full, 0o700)
    except FileExistsError:
        return full
    except FileNotFoundError:
        os.makedirs(os.path.dirname(full), mode=0o700, exist_ok=True)
        os.makedirs(full, mode=0o700, exist_ok=True)
    return full


def write(directory: str, name: str, document: object) -> None:
    """Replace `name` in `directory` by `document` as JSON, whole or not at all."""
    temporary = os.path.join(directory, f".{os.getpid()}.{name[:100]}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        os.write(fd, json.dumps(document).encode())
    finally:
        os.close(fd)
    os.rename(temporary, os.path.join(directory, name))


def read(directory: str, name: str) -> Any:
    """Return the JSON document in `name`, or None when it is absent or unreadable."""
    try:
        fd = os.open(
            os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            return json.loads(file.read())
        except ValueError:
            return None


def delete(directory: str, name: str) -> None:
    """Make `name` absent, and `directory` too if it is empty then."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, name))
    remove_if_empty(directory)


def remove_if_empty(directory: str) -> bool:
    """Remove `directory` if nothing is in it; tell whether it is absent now."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def names(directory: str) -> list[str]:
    """Return the names in `directory`, without temporary ones; absent means none."""
    try:
        return sorted(name for name in os.listdir(directory) if name[0] != ".")
    except FileNotFoundError:
        return []


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock `name`; the kernel lets go of it when the process ends."""
    directory = ensure_directory("locks")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(os.path.join(directory, name), flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
