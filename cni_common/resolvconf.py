# SPDX-License-Identifier: Apache-2.0
"""Reads a resolver configuration, resolv.conf(5), as the `dns` of a result."""

from __future__ import annotations

import os
import stat

from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.result import Dns

_MAX = 1 << 16  # bytes; a resolver reads three name servers and six domains


def read(path: str) -> Dns:
    """Return what the file at `path` says, or raise Code.IO_FAILURE when it cannot be
    read.

    `search` and `options` of several lines add up, the last `domain` counts.
    """
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    for line in _text(path).splitlines():
        keyword, *values = line.split() or [""]
        if keyword[:1] in {"#", ";"} or not values:
            continue
        match keyword:
            case "nameserver":
                nameservers.append(values[0])
            case "domain":
                domain = values[0]
            case "search":
                search += values
            case "options":
                options += values
    return Dns(
        nameservers=nameservers or None,
        domain=domain,
        search=search or None,
        options=options or None,
    )


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(0, "not a regular file")
            return file.read(_MAX).decode("utf-8", "replace")
    except OSError as error:
        msg = f"read resolvConf {path}: {cause_of(error)}"
        raise CNIError(Code.IO_FAILURE, msg) from error
