# SPDX-License-Identifier: Apache-2.0
"""What callgrind writes is summed over the processes of a call, and is one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import callgrind

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 28748
cmd:  /opt/cni/bin/bridge
part: 1

desc: Trigger: {trigger}

positions: line
events: Ir
summary: {near}

ob=(1) /usr/bin/dash
fl=(1) ???
fn=(1) 0x0000000000004b00
0 9000000

totals: {total}
"""


def put(
    room: Path, name: str, total: int, trigger: str = "Program termination"
) -> None:
    """Have a file as callgrind leaves it for a part of a process."""
    text = WRITTEN.format(trigger=trigger, near=total - 17, total=total)
    (room / name).write_text(text, encoding="utf-8")


def test_a_process_counts_before_and_after_it_became_another(tmp_path: Path) -> None:
    """The shell of a plugin and the interpreter that takes its place are one sum."""
    put(tmp_path, "28748.1", 599_329, "--dump-before=execve")
    put(tmp_path, "28748", 20_857_266)
    put(tmp_path, "28750", 127_070)
    assert callgrind.taken(tmp_path) == 599_329 + 20_857_266 + 127_070


def test_a_call_does_not_count_the_one_before(tmp_path: Path) -> None:
    """The room is empty for the next one, and what was not counted is no zero."""
    put(tmp_path, "1", 5)
    assert callgrind.taken(tmp_path) == 5
    with pytest.raises(ValueError, match="nothing was counted"):
        callgrind.taken(tmp_path)


def test_a_file_that_is_cut_short_is_no_count(tmp_path: Path) -> None:
    """Without its last line a file says nothing, where a sum would be too small."""
    put(tmp_path, "1", 5)
    whole = (tmp_path / "1").read_text(encoding="utf-8")
    (tmp_path / "1").write_text(whole.partition("totals:")[0], encoding="utf-8")
    with pytest.raises(ValueError, match="without totals"):
        callgrind.taken(tmp_path)
