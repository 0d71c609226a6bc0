# SPDX-License-Identifier: Apache-2.0
"""Build step: put our first bytes before shiv's archive, and what extracts it.

    python -m launcher.pack ARCHIVE OUTPUT --python PATH --root DIRECTORY

The same sources, interpreter and root give the same bytes, whenever and wherever. What
is compiled is compiled by the first call of a build (bundling.py).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
TREE = "site-packages/"
EXTRACTION = ("bundling.py", "extract.py")
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def members(archive: Path) -> dict[str, bytes]:
    """Return what is packed: shiv's site-packages, and what extracts them."""
    with zipfile.ZipFile(archive) as packed:
        content = {
            name: packed.read(name)
            for name in packed.namelist()
            if name.startswith(TREE) and not name.startswith(f"{TREE}bin/")
        }
    return content | {name: (HERE / name).read_bytes() for name in EXTRACTION}


def build_id(content: dict[str, bytes], python: str, root: str) -> str:
    """Return 32 hexadecimal digits that stand for everything in the packed file."""
    digest = hashlib.sha256(f"{python}\0{root}".encode())
    for name in ("launcher.sh", "gate.py", "rare.py"):
        digest.update((HERE / name).read_bytes())
    for name in sorted(content):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content[name]).digest())
    return digest.hexdigest()[:32]


def write(output: Path, content: dict[str, bytes], python: str, root: str) -> str:
    """Write the executable `output`, replacing it in one step; return its build."""
    build = build_id(content, python, root)

    text = (HERE / "launcher.sh").read_text(encoding="utf-8")
    for word, value in (
        ("@GATE@", _between_apostrophes("gate.py")),
        ("@RARE@", _between_apostrophes("rare.py")),
        ("@BUILD@", build),
        ("@ROOT@", root),
        ("@PYTHON@", python),
    ):
        text = text.replace(word, value)

    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        file.write(text.encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in sorted(content):
                _add(packed, name, content[name])
    unfinished.chmod(0o755)
    unfinished.rename(output)
    return build


def _between_apostrophes(name: str) -> str:
    """Return what the launcher gives to the interpreter, without its comments.

    They would be read at every start.
    """
    text = (HERE / name).read_text(encoding="utf-8")
    text = re.sub(r"^ *#.*\n|  #.*", "", text, flags=re.MULTILINE)
    if "'" in text:
        msg = f"{name}: it must not have an apostrophe"
        raise ValueError(msg)
    return text


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, LONG_AGO)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o100644 << 16
    packed.writestr(member, content)


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
