# SPDX-License-Identifier: Apache-2.0
"""Kernel parameters under /proc/sys/net, of the calling thread's namespace.

Names have the slash form ("net/ipv4/conf/br0.100/arp_notify"), because the name of
a link may contain dots. A value is written only if it differs: /proc/sys may be
read-only where the value is already right (Documentation/admin-guide/sysctl/net.rst).
"""

from __future__ import annotations

import errno
import os

from cni_common.spec.errors import CNIError, Code, cause_of

_VALUELESS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.EINVAL, errno.EISDIR}
)


def get(name: str) -> str | None:
    """Return the value of `name`, or None when this kernel has no such parameter.

    Raises Code.INTERNAL when it cannot be read.
    """
    try:
        return _read(name)
    except OSError as error:
        raise _unreadable(name, error) from error


def shown(name: str) -> str | None:
    """Return the value of `name`, or None when it is absent or has none to show.

    Some are for writing only (route/flush), some have no value until one is set
    (stable_secret). Raises Code.INTERNAL when it cannot be read just now.
    """
    try:
        return _read(name)
    except UnicodeDecodeError:
        return None
    except OSError as error:
        if error.errno in _VALUELESS:
            return None
        raise _unreadable(name, error) from error


def exists(name: str) -> bool:
    """Tell whether this kernel has `name`, in the calling thread's namespace."""
    return os.path.exists(f"/proc/sys/{name}")


def set_value(name: str, value: str) -> None:
    """Make `name` have `value`; raises Code.INTERNAL when the kernel will not."""
    try:
        if shown(name) != value:
            _write(name, value)
    except OSError as error:
        cause = cause_of(error)
        msg = f"set sysctl {name} to {value}: {cause}"
        raise CNIError(Code.INTERNAL, msg) from error


def set_if_present(name: str, value: str) -> bool:
    """Make `name` have `value` if the kernel has it; tell whether it has it now.

    For what is wished but not needed, such as IPv6 details on a host without IPv6.
    """
    try:
        current = _read(name)
        if current is not None and current != value:
            _write(name, value)
    except OSError:
        return False
    return current is not None


def read_only() -> bool:
    """Tell whether /proc/sys is mounted so that nothing in it can be written."""
    return bool(os.statvfs("/proc/sys").f_flag & os.ST_RDONLY)


def writable(name: str) -> bool:
    """Tell whether `name` could be written now.

    It is opened to know that: access(2) does not ask every security module.
    """
    try:
        os.close(os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _unreadable(name: str, error: OSError) -> CNIError:
    return CNIError(Code.INTERNAL, f"read sysctl {name}: {cause_of(error)}")


def _read(name: str) -> str | None:
    try:
        with open(f"/proc/sys/{name}", "rb", buffering=0) as file:
            return file.read().decode().strip()
    except FileNotFoundError:
        return None


def _write(name: str, value: str) -> None:
    fd = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
