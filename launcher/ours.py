# SPDX-License-Identifier: Apache-2.0
"""Is an executable in CNI_PATH a plugin of this very build?"""

from __future__ import annotations

import os

from launcher.loading import Registered
from plugins import REGISTER

TYPE_CHECKING = False  # see main.py
if TYPE_CHECKING:
    from collections.abc import Callable

# Every packed file begins with the launcher, and the launcher with its build.
FIRST_BYTES = 1024


def finder(archive: str) -> Callable[[str], Registered | None]:
    """Return the function that finds the plugin behind a path, or None if not ours.

    `archive` is the packed file that runs now. A path is ours if it leads to the
    same file, or to a copy of it, and its base name is in the register.
    """

    def ours(path: str) -> Registered | None:
        name = os.path.basename(path)
        if name not in REGISTER:
            return None
        try:
            same = os.path.samefile(path, archive) or _head(path) == _head(archive)
        except OSError:
            return None
        return Registered(name) if same else None

    return ours


def _head(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(FIRST_BYTES)
