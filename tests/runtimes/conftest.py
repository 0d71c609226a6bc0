# SPDX-License-Identifier: Apache-2.0
"""One sandbox per test module, with the plugins under test in it."""

from tests.runtimes.sandbox.fixtures import plugins, sandbox

__all__ = ["plugins", "sandbox"]
