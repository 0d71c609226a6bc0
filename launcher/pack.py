# SPDX-License-Identifier: Apache-2.0
"""Build step: put our first bytes before shiv's archive, and compiled modules into it.

    python -m launcher.pack ARCHIVE OUTPUT --python PATH --root DIRECTORY

The same sources, interpreter and root give the same bytes, whenever and wherever.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import py_compile
import re
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
TREE = "site-packages/"
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def members(archive: Path) -> dict[str, bytes]:
    """Return what goes into a tree: shiv's site-packages, compiled, and start.py."""
    with zipfile.ZipFile(archive) as packed:
        content = {
            name: packed.read(name)
            for name in packed.namelist()
            if name.startswith(TREE) and not name.startswith(f"{TREE}bin/")
        }
    for name in [name for name in content if name.endswith(".py")]:
        content[_compiled_name(name)] = _compiled(name, content[name])
    content["start.py"] = (HERE / "start.py").read_bytes()
    return content


def build_id(content: dict[str, bytes], python: str, root: str) -> str:
    """Return 32 hexadecimal digits that stand for everything in the packed file."""
    digest = hashlib.sha256(f"{python}\0{root}\0{sys.version}".encode())
    for name in ("launcher.sh", "gate.py", "doorstep.py"):
        digest.update((HERE / name).read_bytes())
    for name in sorted(content):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content[name]).digest())
    return digest.hexdigest()[:32]


def write(output: Path, content: dict[str, bytes], python: str, root: str) -> str:
    """Write the executable `output`, replacing it in one step; return its build."""
    build = build_id(content, python, root)

    def filled(name: str) -> bytes:
        text = (HERE / name).read_text(encoding="utf-8")
        text = text.replace("@GATE@", _gate())
        text = text.replace("@BUILD@", build).replace("@ROOT@", root)
        return text.replace("@PYTHON@", python).encode()

    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        file.write(filled("launcher.sh"))
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in sorted(content):
                _add(packed, name, content[name])
            _add(packed, "__main__.py", filled("doorstep.py"))
    unfinished.chmod(0o755)
    unfinished.rename(output)
    return build


def _gate() -> str:
    """Return what the launcher gives to the interpreter, between two apostrophes."""
    text = (HERE / "gate.py").read_text(encoding="utf-8")
    if "'" in text:
        raise ValueError("gate.py: it must not have an apostrophe")
    return text


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, LONG_AGO)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o100644 << 16
    packed.writestr(member, content)


def _compiled_name(name: str) -> str:
    folder, _, file = name.rpartition("/")
    tag = sys.implementation.cache_tag
    return f"{folder}/__pycache__/{file.removesuffix('.py')}.{tag}.pyc"


def _compiled(name: str, source: bytes) -> bytes:
    """Unchecked: a tree never changes, and the source's time need not be asked."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "module.py")
        path.write_bytes(source)
        py_compile.compile(
            str(path),
            cfile=f"{path}c",
            dfile=name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return Path(f"{path}c").read_bytes()


def _plain_path(text: str) -> str:
    if not PLAIN_PATH.fullmatch(text):
        msg = f"{text!r} is not an absolute path of plain characters"
        raise argparse.ArgumentTypeError(msg)
    return text


def main(arguments: list[str]) -> None:
    """Read the command line, write the archive, and print its build."""
    parser = argparse.ArgumentParser(prog="launcher.pack")
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--python", required=True, type=_plain_path)
    parser.add_argument("--root", required=True, type=_plain_path)
    options = parser.parse_args(arguments)
    content = members(options.archive)
    sys.stdout.write(
        write(options.output, content, options.python, options.root) + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
