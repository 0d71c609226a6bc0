# SPDX-License-Identifier: Apache-2.0
"""From a name of the register to the plugin, imported only now."""

from __future__ import annotations

from importlib import import_module

from plugins import (
    CHAINED,
    DETACH,
    REGISTER,
    WITHOUT_DELETION,
    WITHOUT_RECORDS,
)

TYPE_CHECKING = False  # see entry.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from cni_common.skel import Plugin
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result


class Registered:
    """The plugin `name` of the register, imported no further than a call needs."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_ipam(self) -> bool:
        """Whether it is an IPAM plugin."""
        return load(self.name).is_ipam

    def call(self, request: Request) -> Result | None:
        """Carry out the verb of `request`; returns the result of ADD, else None."""
        recorded = request.command == "DEL" and self.name not in WITHOUT_DELETION
        if recorded and _detach(self.name, request):
            return None
        return load(self.name).call(request)


def _detach(name: str, request: Request) -> bool:
    """Have nothing left that a record tells of; false if there is none."""
    from cni_common import renamed  # for DEL alone
    from cni_common.rollback import Gather

    detach = _deletion(name)
    served = [request]
    if name not in WITHOUT_RECORDS:
        served = renamed.requests(name, request)
    with Gather() as each:
        done = [each(detach, one) for one in served]
    return all(done)


def _deletion(name: str) -> Callable[[Request], bool]:
    """Return what deletes by the record of the plugin `name`."""
    if name not in DETACH:
        from cni_common.attachment import deletion  # for DEL alone

        if name in CHAINED:
            return lambda request: deletion.delete_found(name, request, CHAINED[name])
        return lambda request: deletion.delete_recorded(name, request)
    found: Callable[[Request], bool] = import_module(DETACH[name]).detach
    return found


def load(name: str) -> Plugin:
    """Return the plugin of CNI type `name`, which is in the register."""
    plugin: Plugin = import_module(REGISTER[name]).PLUGIN
    return plugin
