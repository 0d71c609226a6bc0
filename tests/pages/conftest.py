# SPDX-License-Identifier: Apache-2.0
"""A machine on which a page's commands may do what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtimes.sandbox import Sandbox, need
from tests.runtimes.sandbox.requirements import plugin_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# Beside what is private in every sandbox: where pages put links, install the man page,
# and extracted trees lie.
PRIVATE = ("/usr/local/sbin", "/usr/local/share", "/var/cache/cnipy")


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    """A fresh machine without plugins, whose files are nobody's but its own."""
    need("unshare", "nsenter", "ip", "nft", "curl", "busybox", "ss", "bash")
    plugin_directory()
    with Sandbox(warm=False) as sandbox:
        for directory in PRIVATE:
            sandbox.run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)
        yield sandbox
