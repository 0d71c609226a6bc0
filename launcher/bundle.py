# SPDX-License-Identifier: Apache-2.0
"""The modules of a tree come compiled from one file: no search, one read for each.

Runs at every start, so it imports nothing that is not compiled into the interpreter.
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import SourceFileLoader
from _imp import source_hash

TYPE_CHECKING = False  # see main.py
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    Location = tuple[int, int, bytes, bool]


class Loader(SourceFileLoader):
    """Loads a module of the bundle, or its source where the bundle is damaged there.

    All but the code is as with any module that has been loaded from its source.
    """

    finder: "Finder"
    location: "Location"

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """Return a module that has what the import system would miss one by one."""
        module = type(sys)(spec.name)
        module.__file__ = self.path
        module.__cached__ = self.finder.name  # type: ignore[attr-defined]
        return module

    def get_code(self, fullname: str) -> "CodeType | None":
        """Return the compiled module; raises ImportError if nothing is left of it."""
        offset, size, digest, _ = self.location
        compiled = posix.pread(self.finder.bundle, size, self.finder.start + offset)
        if source_hash(0, compiled) == digest:
            code: CodeType = marshal.loads(compiled)  # noqa: S302 - of this build
            return code
        try:
            return super().get_code(fullname)
        except OSError as error:
            msg = f"{fullname} is damaged, and so is its source: {error}"
            raise ImportError(msg, name=fullname, path=self.path) from error


class Finder:
    """Finds the modules of a tree; it has none by a name of the standard library."""

    def __init__(
        self, tree: str, bundle: int, start: int, folders: dict[str, bytes]
    ) -> None:
        """`folders` say where modules are in the open file `bundle`, from `start`.

        Those of a package are read when the first of them is imported.
        """
        self.name = tree + "/bundle"
        self.bundle = bundle
        self.start = start
        self._site = tree + "/site-packages/"
        self._folders = folders
        self._read: dict[str, dict[str, Location]] = {}

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Return what the import system asks for, None for a module of others."""
        del path, target
        folder, _, name = fullname.rpartition(".")
        locations = self._read.get(folder)
        if locations is None:
            if folder not in self._folders:
                return None
            locations = marshal.loads(self._folders[folder])  # noqa: S302 - of this build
            self._read[folder] = locations
        location = locations.get(name)
        if location is None:
            return None
        base = self._site + fullname.replace(".", "/")
        package = location[3]
        origin = base + ("/__init__.py" if package else ".py")
        loader = Loader(fullname, origin)
        loader.finder = self
        loader.location = location
        spec = ModuleSpec(fullname, loader, origin=origin, is_package=package)
        if package:
            spec.submodule_search_locations = [base]
        spec.has_location = True
        spec.cached = self.name
        return spec


def run(
    build: str,
    tree: str,
    bundle: int,
    start: int,
    first: "tuple[CodeType, dict[str, bytes]]",
) -> None:
    """Serve the call in sys.argv from a tree that is open; does not return.

    What the bundle lacks is found in the tree, after the standard library.
    """
    sys.path.append(f"{tree}/site-packages")
    sys.meta_path.insert(0, Finder(tree, bundle, start, first[1]))
    from launcher.early import run as serve

    serve(build, sys.argv)
