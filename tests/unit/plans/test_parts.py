# SPDX-License-Identifier: Apache-2.0
"""Parts: what is told of all of them in one place."""

from __future__ import annotations

import pkgutil
import sys

from lab import run

from cni_common import parts
from cni_common.attachment import part


def test_those_that_last_are_listed() -> None:
    """DEL passes over the parts that it has nothing to do about, and no others."""
    every = {module.name for module in pkgutil.iter_modules(parts.__path__)}
    removed = {kind for kind in every if part.class_of(kind).is_removed()}
    assert every - removed == parts.LASTING


def test_end_of_a_macvlan_needs_nothing_of_its_making() -> None:
    """What makes and compares macvlans is not imported with the part."""
    code = "import sys, cni_common.parts.macvlan; print(*sys.modules, sep='\\n')"
    loaded = run(sys.executable, "-c", code).split()
    assert "cni_common.kernel.links" in loaded
    assert not {"cni_common.kernel.macvlans", "cni_common.kernel.link_moves"} & {
        *loaded
    }
