# SPDX-License-Identifier: Apache-2.0
"""What a written schema refers to, by its import path: `package.module:Class.name`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def imported(name: str) -> ModuleType:
    """Return the module `name`, without importing importlib for it."""
    if name not in sys.modules:
        __import__(name)
    return sys.modules[name]


def resolved(path: str) -> Any:
    """Return what is at `path`; raises ImportError or AttributeError if nothing is."""
    module, _, name = path.partition(":")
    found: Any = imported(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
