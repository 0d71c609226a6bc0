# SPDX-License-Identifier: Apache-2.0
"""A fresh machine for each example."""

from collections.abc import Iterator

import pytest

from tests.examples.lab import Lab
from tests.runtimes.sandbox import Sandbox, need
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.requirements import plugin_directory


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A machine with the plugins, an outside client and no network yet."""
    need("unshare", "nsenter", "ip", "bridge", "nft", "curl", "busybox", "ss")
    with Sandbox() as sandbox:
        yield Lab(sandbox, Plugins(sandbox, plugin_directory()))
