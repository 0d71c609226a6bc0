# SPDX-License-Identifier: Apache-2.0
"""The command `cnipy` in a sandbox, beside the runtime whose containers it is about."""

import json
from collections.abc import Mapping
from typing import Any

from tests.runtimes.sandbox.machine import COMMAND, Completed, Sandbox


class Command:
    """Calls of one command with one environment."""

    def __init__(self, sandbox: Sandbox, env: Mapping[str, str]) -> None:
        self.sandbox, self.env = sandbox, env

    def __call__(self, *words: str, check: bool = True) -> Completed:
        """Run one verb."""
        return self.sandbox.run(str(COMMAND), *words, env=self.env, check=check)

    def told(self, verb: str, *words: str) -> Any:
        """Return the document that a verb prints."""
        return json.loads(self(verb, *words, "--json").stdout)
