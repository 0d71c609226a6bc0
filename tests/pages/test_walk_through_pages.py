# SPDX-License-Identifier: Apache-2.0
"""docs/walk-throughs as they are written: what is typed prints what stands below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import page_blocks
import pytest
import walk_throughs

from tests.runtimes.sandbox import need

if TYPE_CHECKING:
    from tests.runtimes.sandbox import Sandbox

INSTALL = f"{page_blocks.TOP}/build.sh install --bin-dir /opt/cni/bin"
LINK = "ln -s /opt/cni/bin/cnipy /usr/local/sbin/cnipy"
# As where systemd-resolved runs: the file is gone when the laboratory has its own /run.
RESOLV = "ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf"
PAGES = sorted(
    page.stem for page in (page_blocks.TOP / "docs/walk-throughs").glob("0*.md")
)


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_what_its_commands_print(page: str, machine: Sandbox) -> None:
    """Each block prints what stands below it, and the picture is as it is drawn now."""
    need("conntrack", "dnsmasq", "python3")
    machine.run("sh", "-euc", f"{INSTALL}; {LINK}; {RESOLV}")
    shown = walk_throughs.steps(f"walk-throughs/{page}")
    *printed, picture = walk_throughs.play(f"walk-throughs/{page}", machine)
    for step, run in zip(shown, printed, strict=True):
        at = f"docs/walk-throughs/{page}.md:{step.commands.line}"
        assert_agree(at, step.printed, run)
    drawn = page_blocks.TOP / f"docs/walk-throughs/{page}.svg"
    assert_agree(str(drawn), drawn.read_text(encoding="utf-8"), picture)


def assert_agree(where: str, expected: str, printed: str) -> None:
    """What a run printed is what stands there, apart from volatile words."""
    if not walk_throughs.agrees(expected, printed):
        assert f"{where}\n{printed}" == f"{where}\n{expected}"
        pytest.fail(f"{where}: a volatile word stands for two")


def test_page_has_its_picture() -> None:
    """Every walk-through is listed, and shows what the command drew."""
    index = page_blocks.source(walk_throughs.INDEX)
    for page in PAGES:
        assert f"({page}.md)" in index
        assert f"({page}.svg)" in page_blocks.source(f"walk-throughs/{page}")
