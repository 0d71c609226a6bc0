# SPDX-License-Identifier: Apache-2.0
"""Pages whose commands are run have no block that a test would pass over."""

from __future__ import annotations

import json
import tomllib

import page_blocks
import pytest


@pytest.mark.parametrize("page", page_blocks.PAGES)
def test_every_block_is_fenced_and_says_what_it_is(page: str) -> None:
    """No block is indented, and each names a language that the reader knows."""
    found = page_blocks.blocks(page)
    assert {block.language for block in found} <= set(page_blocks.LANGUAGES)
    rest = page_blocks._BLOCK.sub("", page_blocks.source(page))
    assert "```" not in rest
    assert [line for line in rest.splitlines() if line.startswith("    ")] == []


@pytest.mark.parametrize("page", page_blocks.PAGES)
def test_files_on_a_page_can_be_read(page: str) -> None:
    """What a page shows as a file is one of that format."""
    for block in page_blocks.blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", page_blocks.PAGES)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    """Only commands are excused, by a comment that is right before its block."""
    excused = [block for block in page_blocks.blocks(page) if block.reason]
    assert {block.language for block in excused} <= {"sh"}
    assert page_blocks.source(page).count("<!-- not run") == len(excused)
