# SPDX-License-Identifier: Apache-2.0
"""pydantic without the search for its plugins; imported before the first model.

Building the first model would look through the metadata of all installed packages,
which brings importlib.metadata, email and zipfile with it: a sixth of a cold start. A
plugin of pydantic would besides be foreign code in a process of root.
"""

from __future__ import annotations

import sys
from types import ModuleType

LOADER = "pydantic.plugin._loader"


def _no_plugins() -> tuple[()]:
    return ()


if LOADER not in sys.modules:
    loader = ModuleType(LOADER)
    loader.get_plugins = _no_plugins  # type: ignore[attr-defined] # its one function
    sys.modules[LOADER] = loader
