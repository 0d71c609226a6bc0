# SPDX-License-Identifier: Apache-2.0
"""Libraries that get stand-ins for what they import, and nobody else does."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from cni_common.kernel import library_door

if TYPE_CHECKING:
    from pathlib import Path

STANDARD = "colorsys"  # which nothing here imports otherwise
HAS = f"""
import sys
import {STANDARD}
from {STANDARD} import rgb_to_hls
from doored import colours
shadowed = {STANDARD!r} in sys.modules
def used():
    import {STANDARD}
    return {STANDARD}
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `doored`, whose modules import `colorsys` each in another way."""
    room = tmp_path / "doored"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "has.py").write_text(HAS)
    (room / "colours.py").write_text(f"import {STANDARD} as colours\n")
    (room / "fails.py").write_text(f"import {STANDARD}\nraise ImportError('no more')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, STANDARD, raising=False)
    for name in ("", ".has", ".colours", ".fails"):
        monkeypatch.delitem(sys.modules, f"doored{name}", raising=False)
    return room


def real() -> bool:
    """Tell whether `import colorsys` gives the standard library's module."""
    import colorsys  # noqa: PLC0415 - that is the question

    return colorsys.rgb_to_hls(1, 1, 1) == (0, 1, 0)


@pytest.mark.usefixtures("library")
def test_library_gets_the_stand_in_and_nobody_else() -> None:
    """In its modules and functions alone, and never in `sys.modules`."""
    finders = list(sys.meta_path)
    stand_in = SimpleNamespace(rgb_to_hls="ours")
    found = library_door.load("doored.has", {STANDARD: stand_in})
    assert (found.colorsys, found.rgb_to_hls) == (stand_in, "ours")
    assert (found.colours.colours, found.used()) == (stand_in, stand_in)
    assert not found.shadowed
    assert STANDARD not in sys.modules
    assert sys.meta_path == finders
    assert real()
    assert library_door.load("doored.has", {STANDARD: None}) is found


@pytest.mark.usefixtures("library")
def test_what_is_imported_already_stays() -> None:
    """A module of the standard library that is there is not replaced."""
    assert real()
    before = sys.modules[STANDARD]
    found = library_door.load("doored.colours", {STANDARD: SimpleNamespace()})
    assert found.colours is not before
    assert sys.modules[STANDARD] is before
    assert real()


@pytest.mark.usefixtures("library")
def test_library_that_fails() -> None:
    """Nothing of the door stays behind an import that fails."""
    finders = list(sys.meta_path)
    with pytest.raises(ImportError, match="no more"):
        library_door.load("doored.fails", {STANDARD: SimpleNamespace()})
    assert sys.meta_path == finders
    assert "doored.fails" not in sys.modules
    assert STANDARD not in sys.modules
    assert real()
    with pytest.raises(ModuleNotFoundError, match=r"doored\.absent"):
        library_door.load("doored.absent", {})


def test_later_is_the_module_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is imported by the first who asks for something of it."""
    monkeypatch.delitem(sys.modules, STANDARD, raising=False)
    later = library_door.later(STANDARD)
    assert STANDARD not in sys.modules
    assert later.rgb_to_hls(1, 1, 1) == (0, 1, 0)


@pytest.mark.usefixtures("library")
def test_trace_names_the_file_and_line(library: Path) -> None:
    """What goes wrong in a library is found as without the door."""
    (library / "colours.py").write_text("def act():\n    return 1 / 0\n")
    found = library_door.load("doored.colours", {})
    assert found.__spec__.loader is found.__loader__
    with pytest.raises(ZeroDivisionError) as raised:
        found.act()
    last: Any = raised.tb
    while last.tb_next:
        last = last.tb_next
    assert last.tb_frame.f_code.co_filename == str(library / "colours.py")
    assert last.tb_lineno == 2


MESSAGES = """
import sys
from cni_common.kernel.pyroute2_messages import ifinfmsg
for name in ("logging", "pkgutil", "socket", "threading", "traceback", "typing"):
    assert name not in sys.modules, name
kinds = ifinfmsg.ifinfo.data_map
assert None not in kinds.values() and "veth" in kinds and "vxlan" not in kinds
message = ifinfmsg()
message["flags"] = -1
import logging, socket, threading, traceback, typing, weakref
from pyroute2.netlink.rtnl import ifinfmsg as beside
assert logging.Logger.manager and socket.AddressFamily.AF_INET == 2
assert threading.Thread and typing.Any and weakref.WeakSet
try:
    message.encode()
except Exception as error:
    assert type(error).__module__ == "struct", error
    print("refused", beside.log.name)
"""


def test_messages_of_pyroute2_in_a_bare_interpreter() -> None:
    """Their import brings none of the modules; what they log is logged all the same."""
    path = [entry for entry in sys.path if entry]
    source = f"import sys; sys.path[:0] = {path!r}\n{MESSAGES}"
    words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", source]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ended.stdout == "refused pyroute2.netlink.rtnl.ifinfmsg\n"
    assert "error pack: I -1" in ended.stderr
