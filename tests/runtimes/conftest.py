# SPDX-License-Identifier: Apache-2.0
"""One sandbox per test module, with the plugins under test in it."""

from collections.abc import Iterator

import pytest

from tests.runtimes.sandbox import Sandbox, need
from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.requirements import plugin_directory


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A throw-away machine for one test module."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss")
    with Sandbox() as machine:
        yield machine


@pytest.fixture(scope="module")
def plugins(sandbox: Sandbox) -> Plugins:
    """The four plugins, and nothing else, in a directory of the sandbox."""
    return Plugins(sandbox, plugin_directory())
