# SPDX-License-Identifier: Apache-2.0
"""A door to a library: of what its modules import themselves, some is not imported.

What a library does beside what it is used for makes it expensive to import. In its
modules an import of such a thing yields a stand-in, and in no other module:
`sys.modules` is left alone, and no name of the standard library is shadowed
(docs/decisions/0046).
"""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Self


class Later:
    """What `found` returns, which is called when something of it is asked for."""

    def __init__(self, found: Callable[[], Any]) -> None:
        self._found = found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)


class Words:
    """What types are spelled with, where nobody asks for them."""

    def __getattr__(self, name: str) -> Self:
        return self

    def __getitem__(self, key: object) -> Self:
        return self

    def __call__(self, *_: object, **__: object) -> Self:
        return self


def later(name: str) -> Later:
    """Return what stands for the module `name`, imported when it is used."""

    def found() -> ModuleType:
        __import__(name)
        return sys.modules[name]

    return Later(found)


def load(name: str, stand_ins: Mapping[str, object]) -> Any:
    """Return the module `name`; it and what is imported with it get `stand_ins`.

    That is those modules of its package that are not imported yet. Raises ImportError.
    """
    finder = _Finder(name.partition(".")[0], stand_ins)
    sys.meta_path.insert(0, finder)
    try:
        __import__(name)
    finally:
        sys.meta_path.remove(finder)
    return sys.modules[name]


def spec_of(
    name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
) -> ModuleSpec | None:
    """Return how the module `name` is imported by others; None if it is not there."""
    for finder in sys.meta_path:
        spec = None if type(finder) is _Finder else finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


class _Finder:
    """Finds the modules of a package as others do, and gives them stand-ins."""

    def __init__(self, package: str, stand_ins: Mapping[str, object]) -> None:
        self._package = package
        self._stand_ins = stand_ins

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != self._package:
            return None
        spec = spec_of(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, self._stand_ins)
            spec.loader = loader
        return spec


class _Loader:
    """Executes a module whose imports are answered from `stand_ins` first.

    A module's builtins are those that it finds as `__builtins__` when it is executed,
    and the statement `import` calls `__import__` of them.
    """

    def __init__(self, loader: Any, stand_ins: Mapping[str, object]) -> None:
        self._loader = loader
        self._stand_ins = stand_ins

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        stand_ins = self._stand_ins

        def answer(name: str, *arguments: Any, **given: Any) -> Any:
            found = stand_ins.get(name)
            return __import__(name, *arguments, **given) if found is None else found

        module.__builtins__ = {**vars(builtins), "__import__": answer}
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
