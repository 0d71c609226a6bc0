# SPDX-License-Identifier: Apache-2.0
"""First process of a sandbox: private mounts, then wait until the test lets go.

Started by `unshare -n -m -p`, so when it ends the kernel ends every process in it. It
mounts by itself, for a hundred sandboxes would start two thousand times mount(8).
"""

import ctypes
import os
import signal
import sys

CGROUPS = "/sys/fs/cgroup"
# Writes below these stay in memory and vanish with the sandbox.
OVERLAID = ("/etc", "/opt", "/var")
LAYERS = "/run/layers"
# The default of build.sh --root.
EXTRACTION_ROOT = "/var/cache/cnipy"
EMPTY = ("/run/netns", "/run/lock", "/run/lab")
# linux/mount.h
MS_BIND, MS_REC, MNT_DETACH = 0x1000, 0x4000, 2

_libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: str, options: str = "") -> None:
    """A new file system lies at `target`."""
    words = (kind, target, kind)
    _call(_libc.mount(*map(os.fsencode, words), 0, options.encode()), *words)


def bind(source: str, target: str, flags: int = 0) -> None:
    """What lies at `source` lies at `target`, too."""
    words = os.fsencode(source), os.fsencode(target)
    _call(_libc.mount(*words, None, MS_BIND | flags, None), source, target)


def _call(status: int, *words: str) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {' '.join(words)}: {os.strerror(number)}")


def mount_sysfs() -> None:
    """/sys shows the new network namespace and still has the machine's cgroups."""
    kept = os.path.ismount(CGROUPS)
    if kept:
        mount("tmpfs", "/mnt")
        os.mkdir("/mnt/cgroup")
        bind(CGROUPS, "/mnt/cgroup", MS_REC)
    mount("sysfs", "/sys")
    if kept:
        bind("/mnt/cgroup", CGROUPS, MS_REC)
        _call(_libc.umount2(b"/mnt", MNT_DETACH), "/mnt")


def mount_overlay(directory: str) -> None:
    """The directory can be written, and the machine's own is not changed."""
    upper, work = (f"{LAYERS}{directory}/{layer}" for layer in ("upper", "work"))
    os.makedirs(upper)
    os.mkdir(work)
    mount("overlay", directory, f"lowerdir={directory},upperdir={upper},workdir={work}")


def main(extracted: str, private: list[str]) -> None:
    """Hide each directory of `private` under an empty tmpfs, then wait for EOF.

    `extracted` is where the plugins under test unpack themselves.
    """
    mount_sysfs()
    mount("tmpfs", "/run", "mode=0755")
    for directory in OVERLAID:
        mount_overlay(directory)
    for directory in private:
        os.makedirs(directory, exist_ok=True)
        mount("tmpfs", directory, "mode=0755")
    os.makedirs(EXTRACTION_ROOT, exist_ok=True)
    bind(extracted, EXTRACTION_ROOT)
    for directory in EMPTY:
        os.mkdir(directory)
    # Orphans of the runtimes (conmon, shims) are reaped by the kernel itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
