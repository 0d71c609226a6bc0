# SPDX-License-Identifier: Apache-2.0
"""Measurements in the text format that Prometheus reads, version 0.0.4."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import of_os

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_READABLE = 0o644


class Family:
    """The samples of one name: of a counter, a gauge or a histogram.

    One name and labels have one value: that which was told last.
    """

    def __init__(self, name: str, kind: str, meaning: str) -> None:
        self.name, self.kind, self.meaning = name, kind, meaning
        self.samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def tell(self, value: float, suffix: str = "", **labels: str) -> None:
        """Have a sample of these labels."""
        self.samples[self.name + suffix, tuple(labels.items())] = value

    def lines(self) -> Iterator[str]:
        """Yield what is told of the name, and a line for each sample."""
        yield f"# HELP {self.name} {self.meaning}"
        yield f"# TYPE {self.name} {self.kind}"
        for (name, labels), value in self.samples.items():
            told = ",".join(f'{k}="{_printed(v)}"' for k, v in labels)
            yield f"{name}{{{told}}} {value!r}" if told else f"{name} {value!r}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        samples = [
            {"name": name, "labels": dict(labels), "value": value}
            for (name, labels), value in self.samples.items()
        ]
        return {
            "name": self.name,
            "type": self.kind,
            "help": self.meaning,
            "samples": samples,
        }


def _printed(text: str) -> str:
    """Return a label's value, whoever chose it, as one that does not end early."""
    return text.encode("utf-8", "replace").decode().translate(_ESCAPED)


def lines(families: Iterable[Family]) -> Iterator[str]:
    """Yield the lines of all that have a sample."""
    for family in families:
        if family.samples:
            yield from family.lines()


def write(path: str, text: str) -> None:
    """Replace the file at `path`, whole or not at all; every user may read it.

    What has that name is not followed. Raises Code.IO_FAILURE.
    """
    directory, name = os.path.split(os.path.abspath(path))
    # node_exporter reads what ends in .prom, and no other file.
    unfinished = f".{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    dir_fd = -1
    try:
        dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = os.open(unfinished, flags, _READABLE, dir_fd=dir_fd)
        try:
            with open(fd, "wb") as file:
                file.write(text.encode())
                os.fchmod(fd, _READABLE)
            os.rename(unfinished, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        except OSError:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=dir_fd)
            raise
    except OSError as error:
        raise of_os(f"write {path}", error) from error
    finally:
        if dir_fd >= 0:
            os.close(dir_fd)
