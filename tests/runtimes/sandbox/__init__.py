# SPDX-License-Identifier: Apache-2.0
"""A throw-away machine for tests: own network, mounts, process ids and client."""

from tests.runtimes.sandbox.machine import Sandbox
from tests.runtimes.sandbox.requirements import need, need_podman, unmet

__all__ = ["Sandbox", "need", "need_podman", "unmet"]
