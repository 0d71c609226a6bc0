# SPDX-License-Identifier: Apache-2.0
"""A kernel of Debian's, downloaded by apt and made ready to boot.

Everything lies in one directory outside of the checkout, so that it is made once:
the unpacked package, and an initramfs with the few modules that mount the root.
"""

from __future__ import annotations

import fcntl
import lzma
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(os.environ.get("CNIPY_KERNELS", "/var/cache/cnipy-kernels"))
# What the initramfs needs to find the root file system; the rest is loaded from there.
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
_INIT = Path(__file__).with_name("init.sh")
_BUSYBOX = Path("/bin/busybox")


class UnavailableError(Exception):
    """This machine cannot have the kernel."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path


def ready(series: str) -> Image:
    """Return the newest kernel of `series` ("6.1") that the package sources have.

    Downloaded and unpacked if that was not done before. Raises UnavailableError.
    """
    with _exclusively():
        package = _newest(series)
        place = CACHE / package
        initramfs = place / f"initramfs-{_fingerprint()}"
        if not place.exists():
            _unpack(package, place)
        kernel = next((place / "boot").glob("vmlinuz-*"))
        if not initramfs.exists():
            _pack(place, kernel.name.removeprefix("vmlinuz-"), initramfs)
    return Image(kernel, initramfs)


def _newest(series: str) -> str:
    names = _output("apt-cache", "pkgnames", f"linux-image-{series}.").split()
    form = re.compile(rf"linux-image-{re.escape(series)}\.([0-9.-]+)(\+deb\d+)?-amd64")
    found = [match for name in names if (match := form.fullmatch(name))]
    if not found:
        msg = f"no linux-image-{series}.*-amd64 in this machine's package sources"
        raise UnavailableError(msg)
    return max(found, key=lambda match: _numbers(match[1])).string


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _unpack(package: str, place: Path) -> None:
    with TemporaryDirectory(dir=CACHE) as directory:
        # apt's own user may not write here, which it would say in a warning.
        options = ("-q=2", "-o", "APT::Sandbox::User=root")
        _run("apt-get", *options, "download", package, cwd=directory)
        archive = next(Path(directory).glob("*.deb"))
        tree = Path(directory) / "tree"
        _run("dpkg-deb", "-x", str(archive), str(tree))
        for modules in (tree / "lib/modules").iterdir():
            _run("depmod", "-b", str(tree), modules.name)
        tree.rename(place)


def _fingerprint() -> str:
    """Return what tells an initramfs of this form from one of another."""
    import hashlib  # noqa: PLC0415 - for this line only

    return hashlib.sha256(_INIT.read_bytes() + repr(MODULES).encode()).hexdigest()[:12]


def _pack(place: Path, version: str, target: Path) -> None:
    """Write the initramfs: busybox, the modules in the order of loading, /init."""
    with TemporaryDirectory(dir=CACHE) as directory:
        tree = Path(directory)
        for name in ("bin", "modules", "proc", "sys", "dev", "lower", "upper", "root"):
            (tree / name).mkdir()
        shutil.copy2(_BUSYBOX, tree / "bin/busybox")
        shutil.copy2(_INIT, tree / "init")
        (tree / "init").chmod(0o755)
        order = [_module(path, tree) for path in _needed(place, version)]
        (tree / "order").write_text("\n".join(order) + "\n")
        # The root file system is this machine's, so the path is the same there.
        (tree / "directory").write_text(f"{place}/lib/modules\n")
        draft = Path(directory).with_suffix(".cpio")
        with draft.open("wb") as file:
            listed = "\0".join(
                str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))
            )
            subprocess.run(
                ("cpio", "-o", "-0", "--quiet", "-H", "newc"),
                input=listed.encode(),
                cwd=tree,
                stdout=file,
                check=True,
            )
        draft.rename(target)


def _needed(place: Path, version: str) -> list[Path]:
    found: dict[Path, None] = {}
    for name in MODULES:
        command = ("modprobe", "-d", str(place), "-S", version, "-D", name)
        for line in _output(*command).splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod":
                found[Path(path.strip())] = None
    return list(found)


def _module(path: Path, tree: Path) -> str:
    """Have the module uncompressed in the initramfs; returns its name there."""
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
        path = path.with_suffix("")
    (tree / "modules" / path.name).write_bytes(content)
    return path.name


@contextmanager
def _exclusively() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def _output(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout
