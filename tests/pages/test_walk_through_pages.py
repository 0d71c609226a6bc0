# SPDX-License-Identifier: Apache-2.0
"""Pages of the laboratory, as they are written: what is typed prints what stands there.

Those of docs/walk-throughs, and others that tell of a node which the page makes.
"""

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
OTHERS = ("doctor", "metrics", "packet-walk", "why")


@pytest.fixture
def laboratory(machine: Sandbox) -> Sandbox:
    """A machine on which the suite is installed, as pages begin."""
    need("conntrack", "dnsmasq", "python3", "etcd", "etcdctl")
    machine.run("sh", "-euc", f"{INSTALL}; {LINK}; {RESOLV}")
    return machine


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_what_its_commands_print(page: str, laboratory: Sandbox) -> None:
    """Each block prints what stands below it, and the picture is as it is drawn now."""
    drawing = f"cat {walk_throughs.PICTURE}\n"
    picture = assert_shown(f"walk-throughs/{page}", laboratory, drawing)
    drawn = page_blocks.TOP / f"docs/walk-throughs/{page}.svg"
    assert_agree(str(drawn), drawn.read_text(encoding="utf-8"), *picture)


@pytest.mark.parametrize("page", OTHERS)
def test_other_page_of_the_laboratory(page: str, laboratory: Sandbox) -> None:
    """What rules, broken nodes and counted calls look like is as it is today."""
    assert_shown(page, laboratory)


def assert_shown(page: str, laboratory: Sandbox, *more: str) -> list[str]:
    """Each block of a page prints what stands below it; return what more prints."""
    shown = walk_throughs.steps(page)
    printed = walk_throughs.play(page, laboratory, *more)
    for step, run in zip(shown, printed, strict=False):
        assert_agree(f"docs/{page}.md:{step.commands.line}", step.printed, run)
    return printed[len(shown) :]


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
