# SPDX-License-Identifier: Apache-2.0
"""The architecture, as far as imports, sizes and first lines can tell it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ROOMS = ("cni_common", "plugins", "launcher", "cnipy")
LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 60  # lines
# Room -> the rooms that it may import; a room may always import itself.
# What is written down, which any room may read.
_STATE = {f"cni_common.{n}" for n in ("state", "own_files", "shapes", "trusted_path")}
GROUND = {"cni_common.frame.log", "cni_common.spec", "cni_common.kernel", *_STATE}
COMMON = {"cni_common", "cni_common.frame", *GROUND}
DOWNWARD: dict[str, set[str]] = {
    "cni_common.frame.log": set(),
    "cni_common.compiled": set(),
    "cni_common.spec": {"cni_common.frame.log"},
    "cni_common.kernel": COMMON,
    **dict.fromkeys(sorted(_STATE), GROUND),
    "cni_common.frame": GROUND,
    "cni_common": COMMON,
    "plugins": COMMON,
    "cnipy.keeper": {*COMMON, "plugins", "cnipy"},
    "cnipy.net": COMMON,
    "cnipy": {*COMMON, "cnipy.net"},
    "launcher": {
        *COMMON,
        *("cni_common.compiled", "plugins", "cnipy", "cnipy.keeper", "cnipy.net"),
    },
}
# Foreign module -> the only places that may import it.
CONFINED = {
    "pyroute2": ("cni_common/kernel/",),
    "nftables": ("cni_common/kernel/",),
    "subprocess": ("cni_common/frame/execute.py",),
    "jeepney": ("cni_common/system_bus.py",),
    "asyncio": (
        "cnipy/keeper/",
        "cnipy/net/",
    ),  # brings OpenSSL, which the warm server would hold
    "ssl": ("cnipy/net/store/",),
}
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "manager", "handler", "misc"}


def sources() -> list[Path]:
    """Return every Python file of the product."""
    return [path for room in ROOMS for path in sorted((TOP / room).rglob("*.py"))]


def short(path: Path) -> str:
    """Return a path as a test's name."""
    return str(path.relative_to(TOP))


def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, *, at_start: bool = False) -> set[str]:
    """Return the dotted names that a file imports, those for types excepted.

    `at_start`: only those imported together with the file itself.
    """
    found: set[str] = set()
    pending = list(tree(path).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
        elif not at_start or not isinstance(node, ast.FunctionDef):
            pending += [
                n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)
            ]
    return found


def room_of(dotted: str) -> str | None:
    """Return the room in which a dotted name lives, or None for a foreign one."""
    for room in DOWNWARD:
        if dotted == room or dotted.startswith(room + "."):
            return room
    return None


def plugin_of(dotted: str) -> str | None:
    """Return the plugin to which a dotted name belongs."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "plugins" and len(parts) > 2 else None


@pytest.mark.parametrize("path", sources(), ids=short)
def test_imports_go_down_only(path: Path) -> None:
    """No room imports one above it, and no plugin imports another."""
    own = ".".join(path.relative_to(TOP).with_suffix("").parts)
    room = room_of(own)
    assert room is not None
    for name in imported(path):
        other = room_of(name)
        assert other in {None, room, *DOWNWARD[room]}, f"{own} imports {name}"
        if plugin_of(own) and plugin_of(name):
            assert plugin_of(name) == plugin_of(own), f"{own} imports {name}"


@pytest.mark.parametrize("path", sources(), ids=short)
def test_foreign_libraries_stay_in_their_room(path: Path) -> None:
    """Netlink, nftables and processes are reached through one seam each."""
    for name in imported(path):
        allowed = CONFINED.get(name.split(".")[0])
        assert allowed is None or short(path).startswith(allowed), name


@pytest.mark.parametrize("path", sources(), ids=short)
def test_file_is_short_and_licensed(path: Path) -> None:
    """A file begins with its licence and can be read in one go."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    assert len(lines) <= LONGEST_FILE
    assert not FORBIDDEN_NAMES & set(path.stem.split("_"))


@pytest.mark.parametrize("path", sources(), ids=short)
def test_functions_are_short(path: Path) -> None:
    """A function fits on a screen."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name}: {length} lines"


def test_start_imports_nothing_heavy() -> None:
    """What runs before a plugin is chosen imports neither pydantic nor netlink."""
    early = [TOP / "cni_common/frame/skel.py", *(TOP / "launcher").glob("*.py")]
    at_build = ("everything", "schemas", "json_schemas", "documented")
    for name in ("server", "child", *at_build):  # once
        early.remove(TOP / f"launcher/{name}.py")
    seen: set[Path] = set()
    heavy = set()
    while early:
        path = early.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imported(path, at_start=True):
            heavy |= {name.split(".")[0]} & {"pydantic", "pyroute2", "nftables"}
            parts = name.split(".")
            for end in (len(parts), len(parts) - 1):
                file = TOP.joinpath(*parts[:end]).with_suffix(".py")
                if file.exists():
                    early.append(file)
    assert heavy == set()


@pytest.mark.parametrize("path", sorted((TOP / "tests").rglob("test_*.py")), ids=short)
def test_every_test_says_what_holds(path: Path) -> None:
    """Each test has a docstring: one sentence about what holds."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
