# SPDX-License-Identifier: Apache-2.0
"""Parts: what is told of all of them in one place."""

from __future__ import annotations

import pkgutil

from cni_common import parts
from cni_common.attachment import part


def test_those_that_last_are_listed() -> None:
    """DEL passes over the parts that it has nothing to do about, and no others."""
    every = {module.name for module in pkgutil.iter_modules(parts.__path__)}
    removed = {kind for kind in every if part.class_of(kind).is_removed()}
    assert every - removed == parts.LASTING
