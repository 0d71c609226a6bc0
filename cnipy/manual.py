# SPDX-License-Identifier: Apache-2.0
"""The man page and the completions that install put below a share directory."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Of each file the first lines say it, so that another's is left alone.
MARK = "cnipy: installed by build.sh"
MAN_PAGE = "man/man8/cnipy.8"
COMPLETIONS = {
    "bash": "bash-completion/completions/cnipy",
    "zsh": "zsh/site-functions/_cnipy",
}
_FIRST_BYTES = 1024


def remove(share: str, tell: Callable[[str], object]) -> None:
    """Remove what is ours below `share`; absence is success."""
    removed = []
    for name in (MAN_PAGE, *COMPLETIONS.values()):
        path = os.path.join(share, name)
        if _is_ours(path):
            with suppress(FileNotFoundError):
                os.unlink(path)
                removed.append(name)
    if removed:
        tell(f"removed in {share}: {' '.join(removed)}")


def _is_ours(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(_FIRST_BYTES)
    except OSError:
        return False
