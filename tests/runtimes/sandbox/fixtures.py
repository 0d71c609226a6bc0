# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test directories share by importing them in a conftest."""

from collections.abc import Iterator

import pytest

from tests.runtimes.sandbox.chain import Plugins
from tests.runtimes.sandbox.machine import Sandbox
from tests.runtimes.sandbox.requirements import need, plugin_directory


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A throw-away machine for one test module."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss")
    with Sandbox() as machine:
        yield machine


@pytest.fixture(scope="module")
def plugins(sandbox: Sandbox) -> Plugins:
    """All plugins of the suite, and nothing else, in a directory of the sandbox."""
    return Plugins(sandbox, plugin_directory())
