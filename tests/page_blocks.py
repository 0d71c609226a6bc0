# SPDX-License-Identifier: Apache-2.0
"""Command blocks of a page, run as they are written there.

A page that is read by a test has fenced blocks with a language only: `sh` is run, other
languages are what a file holds or a command prints. What cannot be run says why in a
comment before the block, which readers of the page do not see:

    <!-- not run: no systemd in the tests -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtimes.sandbox.machine import Completed, Sandbox

TOP = Path(__file__).parents[1]
# Pages whose blocks tests/pages runs, each from its first block to its last.
PAGES = (
    *("changing", "cnipy", "doctor", "editor", "metrics", "runtimes", "switching"),
    *("packet-walk", "warm", "why"),
    *(
        f"walk-throughs/{page.stem}"
        for page in (TOP / "docs/walk-throughs").glob("*.md")
    ),
)
LANGUAGES = ("sh", "text", "toml", "json", "yaml", "lua")
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
LOG = "/run/lab/page.log"


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why it is not run, if it is not."""

    language: str
    text: str
    line: int
    reason: str = ""


def blocks(page: str) -> list[Block]:
    """Return the blocks of docs/`page`.md in their order."""
    text = source(page)
    return [
        Block(
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            text.count("\n", 0, found.start("language")) + 1,
            found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def source(page: str) -> str:
    """Return the text of docs/`page`.md."""
    return (TOP / f"docs/{page}.md").read_text(encoding="utf-8")


class Reader:
    """Somebody who reads a page from top to bottom, and types what stands there."""

    def __init__(self, page: str, sandbox: Sandbox) -> None:
        self.page, self.sandbox = page, sandbox
        self._left = [b for b in blocks(page) if b.language == "sh" and not b.reason]

    def next(self, beginning: str) -> str:
        """Run the next block, which begins like this; return what it prints.

        What it leaves running in the background goes on.
        """
        block = self._left.pop(0)
        where = f"docs/{self.page}.md:{block.line}"
        assert block.text.startswith(beginning), f"{where}: {block.text}"
        script = f"exec >{LOG} 2>&1\ncd {TOP}\n{block.text}"
        done: Completed = self.sandbox.run(
            "bash", "-euo", "pipefail", "-c", script, check=False, seconds=600
        )
        printed = self.sandbox.path(LOG).read_text()
        assert done.returncode == 0, f"{where}: {block.text}\n{printed}{done.stderr}"
        return printed

    def assert_at_end(self) -> None:
        """Every block that can be run has been."""
        assert [block.text for block in self._left] == []
