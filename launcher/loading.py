# SPDX-License-Identifier: Apache-2.0
"""From a name of the register, or a path, to the plugin, imported only now."""

from __future__ import annotations

import os
import sys

from plugins import REGISTER, module_of

TYPE_CHECKING = False  # see main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from cni_common.frame.skel import Plugin
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins import Entry


# Every packed file begins with the launcher, and the launcher with its build.
FIRST_BYTES = 1024


class Registered:
    """The plugin `name` of the register, imported no further than a call needs."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_ipam(self) -> bool:
        """Whether it is an IPAM plugin."""
        return load(self.name).is_ipam

    @property
    def asks_by_link(self) -> bool:
        """Whether it is an IPAM plugin that asks by the very link."""
        return REGISTER[self.name].get("by_link", False)

    def call(self, request: Request) -> Result | None:
        """Carry out the verb of `request`; returns the result of ADD, else None."""
        if request.command == "DEL" and _delete_recorded(self.name, request):
            return None
        return load(self.name).call(request)


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


def _delete_recorded(name: str, request: Request) -> bool:
    """Delete what a record tells of; false if there is none."""
    entry = REGISTER[name]
    records = entry.get("records", True)
    if not records and not entry.get("detach"):
        return False
    from cni_common import renamed  # for DEL alone
    from cni_common.frame.rollback import Gather

    delete = _deletion(name, entry)
    served = renamed.requests(name, request) if records else [request]
    with Gather() as errors:
        done = [errors.attempt(delete, one) for one in served]
    return all(done)


def _deletion(name: str, entry: Entry) -> Callable[[Request], bool]:
    """Return what deletes by the record of the plugin `name`."""
    if entry.get("detach"):
        found: Callable[[Request], bool] = _module(name, "detach").detach
        return found
    from cni_common.attachment import deletion  # for DEL alone

    if "kinds" in entry:
        return lambda request: deletion.delete_found(name, request, entry["kinds"])
    return lambda request: deletion.delete_recorded(name, request)


def load(name: str) -> Plugin:
    """Return the plugin of CNI type `name`, which is in the register."""
    plugin: Plugin = _module(name, "plugin").PLUGIN
    return plugin


def _head(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(FIRST_BYTES)


def _module(name: str, module: str) -> ModuleType:
    path = module_of(name, module)
    __import__(path)  # as import_module of importlib, which would be imported for it
    return sys.modules[path]
