# SPDX-License-Identifier: Apache-2.0
"""Recordings are replayed in a sandbox, one for each module."""

from tests.runtimes.sandbox.fixtures import plugins, sandbox

__all__ = ["plugins", "sandbox"]
