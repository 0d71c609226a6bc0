# SPDX-License-Identifier: Apache-2.0
"""Compile the modules of a tree into one file, from which bundle.py loads them.

The file begins with the interpreter's magic number, then digest and length of what
comes next, the code of bundle.py and the index. All else is modules. The digests tell
what a disk has changed, not what somebody has: only its owner writes to a tree.
"""

from __future__ import annotations
import __future__

import marshal
import os
import warnings
from _imp import source_hash
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

# What this says can be said to the compiler, so that no call has to import it.
LINE = b"\nfrom __future__ import annotations\n"
SITE = "site-packages"
READER = "launcher.bundle"


def bundle(extracted: str, tree: str) -> bytes:
    """Return the bundle of what is in `extracted` now, and in `tree` when it is used.

    What this interpreter cannot compile is left out: who imports it is told.
    """
    index: dict[str, dict[str, tuple[int, int, bytes, bool]]] = {}
    modules: list[bytes] = []
    offset = 0
    reader: CodeType | None = None
    for name, path in _sources(os.path.join(extracted, SITE)):
        with suppress(SyntaxError):
            code = _compiled(extracted, path, tree)
            if name == READER:
                reader = code
            module = marshal.dumps(code)
            package = path.endswith("/__init__.py")
            folder, _, last = name.rpartition(".")
            location = (offset, len(module), source_hash(0, module), package)
            index.setdefault(folder, {})[last] = location
            modules.append(module)
            offset += len(module)
    folders = {folder: marshal.dumps(locations) for folder, locations in index.items()}
    first = marshal.dumps((reader, folders))
    size = len(first).to_bytes(4, "big")
    return b"".join((MAGIC_NUMBER, source_hash(0, first), size, first, *modules))


def _sources(site: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of each module, in the order of names."""
    for directory, folders, files in os.walk(site):
        folders.sort()
        for file in sorted(files):
            path = os.path.relpath(os.path.join(directory, file), site)
            name, dot, suffix = path.replace("/", ".").rpartition(".")
            if dot and suffix == "py":
                yield name.removesuffix(".__init__"), path


def _compiled(extracted: str, path: str, tree: str) -> CodeType:
    with open(os.path.join(extracted, SITE, path), "rb") as file:
        source = file.read()
    flags = __future__.annotations.compiler_flag if LINE in source else 0
    source = source.replace(LINE, b"\n\n", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sources of others
        code: CodeType = compile(source, f"{tree}/{SITE}/{path}", "exec", flags, True)
        return code
