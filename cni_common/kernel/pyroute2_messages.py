# SPDX-License-Identifier: Apache-2.0
"""The door to pyroute2: its message classes without the rest of the package.

`import pyroute2` loads every protocol that the package knows and an event loop. The
message classes need none of that, so the package is entered beside its __init__; and
what they import to write to a log, or to find classes of further kinds of links, is
not imported either. A class is there when it is first asked for.
"""

from __future__ import annotations

import _socket
import _thread
import _weakref
import sys
from types import ModuleType, SimpleNamespace

from cni_common.kernel.library_door import Later, Words, later, load, spec_of

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import Any

    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

_ROOM = "pyroute2.netlink.rtnl"


def __getattr__(name: str) -> Any:
    """Return the class of messages `name`, imported now."""
    if name not in __all__:
        raise AttributeError(name)
    _enter_beside_init()
    found = getattr(load(f"{_ROOM}.{name}", _stand_ins()), name)
    _without_absent_kinds(found)
    globals()[name] = found
    return found


def _enter_beside_init() -> None:
    if "pyroute2" in sys.modules:
        return
    spec = spec_of("pyroute2")
    if spec is None or spec.submodule_search_locations is None:
        msg = "pyroute2 is not installed"
        raise ImportError(msg)
    package = ModuleType("pyroute2")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["pyroute2"] = package


def _without_absent_kinds(ifinfmsg: Any) -> None:
    kinds = ifinfmsg.ifinfo.data_map
    for kind in [kind for kind, data in kinds.items() if data is None]:
        del kinds[kind]  # it is decoded as bytes, as any other


class _OtherKinds:
    """The modules of kinds of links that this suite does not make, without data."""

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(**{"__name__": name, name: None})


def _stand_ins() -> dict[str, object]:
    """Return what the modules of the messages get instead of what they import."""
    sockets = ModuleType("socket")
    sockets.__dict__.update(vars(_socket), AddressFamily=int)  # the latter is a type
    log = later("logging")
    vars(log)["getLogger"] = _logger  # called by each module while it is imported
    config = SimpleNamespace(AF_BRIDGE=7, data_plugins_pkgs=[], data_plugins_path=[])
    return {
        "logging": log,
        "pkgutil": later("pkgutil"),
        "socket": sockets,
        "threading": SimpleNamespace(Lock=_thread.allocate_lock, local=_thread._local),  # noqa: SLF001 - as `threading` has it
        "traceback": later("traceback"),
        "typing": Words(),
        "weakref": _weakref,
        "pyroute2": SimpleNamespace(config=config),
        "pyroute2.config": config,
        f"{_ROOM}.ifinfmsg.plugins": _OtherKinds(),
    }


def _logger(name: str) -> Later:
    return Later(lambda: later("logging").getLogger(name))


def build_tables() -> None:
    """Make the tables that pyroute2 makes when a message is first encoded."""
    vlan = ("IFLA_BRIDGE_VLAN_INFO", {"flags": 0, "vid": 1})
    message = sys.modules[__name__].ifinfmsg()
    message["family"] = 7  # AF_BRIDGE
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [vlan]})]
    message.encode()


__all__ = ["ifinfmsg"]
