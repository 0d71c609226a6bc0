# SPDX-License-Identifier: Apache-2.0
"""Whatever the register has is documented, shown and announced."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cni_common import parts
from launcher import json_schemas
from launcher.loading import load
from plugins import REGISTER

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *(TOP / "docs").rglob("*.md"), TOP / "CONTRIBUTING.md"]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
# containerd calls it for every pod beside the network; no list has it.
BESIDE = {"loopback"}


def types(document: dict[str, Any]) -> set[str]:
    """Return the types of the plugins in a list, IPAM plugins included."""
    plugins = document["plugins"]
    return {p["type"] for p in plugins} | {
        p.get("ipam", {}).get("type") for p in plugins
    }


@pytest.mark.parametrize("name", REGISTER)
def test_plugin_has_a_page_that_the_readme_names(name: str) -> None:
    """Who finds a plugin in the directory finds its page from the README."""
    page = f"docs/plugins/{name}.md"
    assert (TOP / page).read_text().startswith(f"# {name}\n")
    assert page in (TOP / "README.md").read_text()
    assert f"`{name}`" in (TOP / "CHANGELOG.md").read_text()


def test_what_attachments_consist_of_is_told_for_each_plugin_of_parts() -> None:
    """A record of one that is not told could not be read."""
    made = {name for name in REGISTER if load(name).scheme is not None}
    assert made == set(parts.OF)


@pytest.mark.parametrize("name", sorted(set(REGISTER) - BESIDE))
def test_plugin_is_part_of_an_example(name: str) -> None:
    """There is a list to start from, which tests/examples runs."""
    lists = (TOP / "conf-examples").glob("*.conflist")
    assert any(name in types(json.loads(path.read_text())) for path in lists)


@pytest.mark.parametrize("name", REGISTER)
def test_list_on_a_page_is_whole(name: str) -> None:
    """What a page shows first can be copied: our plugins, and an IPAM plugin named."""
    page = (TOP / f"docs/plugins/{name}.md").read_text()
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    plugins = shown.get("plugins", [shown])
    named = [p["type"] for p in plugins]
    named += [p["ipam"]["type"] for p in plugins if "ipam" in p]
    assert name in named
    assert set(named) <= set(REGISTER)


def test_pages_have_the_keys_that_models_have() -> None:
    """A key without its row, or with another type or default there, ends the build."""
    assert set(json_schemas.everything()["schemas"]) >= set(REGISTER)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link of a page names a file or directory of the repository."""
    found = LINK.findall(page.read_text())
    assert [link for link in found if not (page.parent / link).exists()] == []


def test_decisions_have_numbers_of_their_own() -> None:
    """A number is one page's, and the page says the same as its file."""
    pages = sorted((TOP / "docs/decisions").glob("0*.md"))
    numbers = [page.name[:4] for page in pages]
    assert sorted(set(numbers)) == numbers
    headings = [page.read_text().partition(".")[0] for page in pages]
    assert headings == [f"# {int(number)}" for number in numbers]
