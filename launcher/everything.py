# SPDX-License-Identifier: Apache-2.0
"""All modules of the suite, for those who want every model: build and warm server."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import cni_common
import plugins
from cni_common.spec.model import build_all


def build_every_model() -> None:
    """Import every module of plugins and library, and build every model.

    The command has one of its own, of the file that says where the store is.
    """
    for package in (cni_common, plugins):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    import_module("cnipy.net.conf")
    build_all()
