# SPDX-License-Identifier: Apache-2.0
"""What stands in a recording for namespaces, which are others each time."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab import Space


def concealed(document: Any, spaces: Mapping[str, Space]) -> Any:
    """Return the document without path and identity of the namespaces."""
    text = json.dumps(document)
    for stands_for, said in _placeholders(spaces).items():
        text = re.sub(rf"{re.escape(said)}(?![\w-])", stands_for, text)
    return json.loads(text)


def revealed(document: Any, spaces: Mapping[str, Space]) -> Any:
    """Return the document with path and identity of these namespaces."""
    text = json.dumps(document)
    for stands_for, said in _placeholders(spaces).items():
        text = text.replace(stands_for, said)
    return json.loads(text)


def _placeholders(spaces: Mapping[str, Space]) -> dict[str, str]:
    """Return what stands for the path and the identity of each namespace."""
    found = {}
    for role, space in spaces.items():
        about = os.stat(space.path)
        found[f"@path of {role}@"] = space.path
        found[f"@identity of {role}@"] = f"{about.st_dev}:{about.st_ino}"
    return found
