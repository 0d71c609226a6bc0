# SPDX-License-Identifier: Apache-2.0
"""Where programs of the host are that a plugin has do a part of its work."""

from __future__ import annotations

import os

from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

# A runtime's PATH may lack the directories of the administrator.
DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
ENV = {"PATH": ":".join((*DIRECTORIES, "/usr/bin", "/bin"))}


def find(name: str, package: str, env: Mapping[str, str]) -> str:
    """Return the path of a program; raises Code.INTERNAL without one."""
    listed = [part for part in env.get("PATH", "").split(":") if part.startswith("/")]
    for directory in (*listed, *DIRECTORIES):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    msg = f"find {name}: not installed"
    raise CNIError(Code.INTERNAL, msg, f"install the package {package}")
