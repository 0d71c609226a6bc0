# SPDX-License-Identifier: Apache-2.0
"""What a written schema refers to, by its import path: `package.module:Class.name`."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any


def resolved(path: str) -> Any:
    """Return what is at `path`; raises ImportError or AttributeError if nothing is."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module) or import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
