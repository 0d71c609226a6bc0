# SPDX-License-Identifier: Apache-2.0
"""Build step: a packed file for one CPU, which begins with a program of that CPU.

    python -m launcher.per_cpu PACKED OUTPUT --cpu NAME

The program (client.c) has the script of the packed file in it; the archive follows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from cni_common.frame.execute import execute
from cni_common.spec.versions import NEWEST, SUPPORTED
from cnipy.packed import build_of
from launcher import client
from launcher.loading import FIRST_BYTES
from plugins import REGISTER, versions_of

HERE = Path(__file__).parent
ARCHIVE = b"PK\x03\x04"
_UTF8 = b"-X utf8"
# What client.c has said to the server is not said again by Python.
_COLD = _UTF8 + b" -X cold"


def write(packed: Path, output: Path, cpu: str) -> None:
    """Make `output`, for `cpu`, do what the packed file does; replace it in one step.

    Raises ValueError when a file is not as others rely on, or does not compile.
    """
    script, mark, archive = packed.read_bytes().partition(ARCHIVE)
    if script.count(_UTF8) != 1 or not mark:
        msg = f"{packed}: it is not a script and an archive"
        raise ValueError(msg)
    build = build_of(str(packed))
    program = compiled(facts(script.replace(_UTF8, _COLD), build), cpu)
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    unfinished.write_bytes(program + mark + archive)
    unfinished.chmod(0o755)
    if f"\n# cnipy, build {build}\n".encode() not in program[:FIRST_BYTES]:
        msg = f"{output}: its first {FIRST_BYTES} bytes do not state the build"
        raise ValueError(msg)
    unfinished.rename(output)


def facts(script: bytes, build: str) -> str:
    """Return facts.h."""

    def listed(name: str) -> str:
        return ", ".join(f'"{version}"' for version in versions_of(name))

    versions = ", ".join(map(_literal, SUPPORTED))
    changes = ", ".join(map(_literal, client.CHANGES))
    lines = [
        f"#define SOCKET {_literal(client.SOCKET)}",
        f"#define BUILD {_literal(build)}",
        f"#define NEWEST {_literal(NEWEST)}",
        f"#define LAUNCHER {_literal(script.decode())}",
        f"static const char *const supported[] = {{{versions}}};",
        f"static const char *const changes[] = {{{changes}}};",
        "static const struct {const char *name, *versions;} plugins[] = {",
        *(f"    {{{_literal(name)}, {_literal(listed(name))}}}," for name in REGISTER),
        "};",
    ]
    return "\n".join(lines) + "\n"


def compiled(text: str, cpu: str) -> bytes:
    """Return client.c with `text` as facts.h, as a static program for `cpu`."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "facts.h").write_text(text, encoding="ascii")
        words = [sys.executable, "-m", "ziglang", "cc"]
        words += ["-target", f"{cpu}-linux-musl", "-Os", "-static", "-s"]
        words += ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I", scratch]
        words += [str(HERE / "client.c"), "-o", f"{scratch}/client"]
        status, _, said = execute(words, b"", os.environ)
        if status != 0:
            raise ValueError(said.decode())
        return Path(scratch, "client").read_bytes()


def _literal(text: str) -> str:
    """Return a string literal of C."""
    plain = set(range(32, 127)) - set(b'"\\?')
    parts = (chr(c) if c in plain else f"\\{c:03o}" for c in text.encode())
    return f'"{"".join(parts)}"'


def main(arguments: list[str]) -> None:
    """Read the command line, and write the file."""
    parser = argparse.ArgumentParser(prog="launcher.per_cpu")
    parser.add_argument("packed", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--cpu", required=True, choices=("x86_64", "aarch64"))
    options = parser.parse_args(arguments)
    write(options.packed, options.output, options.cpu)


if __name__ == "__main__":
    main(sys.argv[1:])
