# SPDX-License-Identifier: Apache-2.0
"""From a name of the register to the plugin, imported only now."""

from __future__ import annotations

import sys
from importlib import import_module

from cni_common.spec.errors import CNIError, Code
from plugins import REGISTER

TYPE_CHECKING = False  # see entry.py
if TYPE_CHECKING:
    from cni_common.skel import Plugin


def load(name: str) -> Plugin:
    """Return the plugin of CNI type `name`, which is in the register.

    Raises code 999 when the archive has no compiled part for this interpreter.
    """
    try:
        plugin: Plugin = import_module(REGISTER[name]).PLUGIN
    except ImportError as error:
        if not (error.name or "").startswith("pydantic_core"):
            raise
        running = ".".join(map(str, sys.version_info[:2]))
        msg = (
            f"load plugin {name}: this build has no pydantic_core for Python {running}"
        )
        raise CNIError(
            Code.INTERNAL,
            msg,
            f"run by {sys.executable}; build with --minors {running}",
        ) from error
    return plugin
