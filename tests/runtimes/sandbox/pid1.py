# SPDX-License-Identifier: Apache-2.0
"""First process of a sandbox: private mounts, then wait until the test lets go.

Started by `unshare -n -m -p`, so when it ends the kernel ends every process in it.
"""

import signal
import subprocess
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# Writes below these stay in memory and vanish with the sandbox.
OVERLAID = ("/etc", "/opt", "/var")
LAYERS = Path("/run/layers")
# The default of build.sh --root.
EXTRACTION_ROOT = "/var/cache/cnipy"
EMPTY = ("/run/netns", "/run/lock", "/run/lab")


def mount(*words: str) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *words], check=True)


def mount_sysfs() -> None:
    """/sys shows the new network namespace and still has the machine's cgroups."""
    kept = CGROUPS.is_mount()
    if kept:
        mount("-t", "tmpfs", "tmpfs", "/mnt")
        Path("/mnt/cgroup").mkdir()
        mount("--rbind", str(CGROUPS), "/mnt/cgroup")
    mount("-t", "sysfs", "sysfs", "/sys")
    if kept:
        mount("--rbind", "/mnt/cgroup", str(CGROUPS))
        subprocess.run(["umount", "-l", "/mnt"], check=True)


def mount_overlay(directory: str) -> None:
    """The directory can be written, and the machine's own is not changed."""
    upper, work = LAYERS / directory[1:] / "upper", LAYERS / directory[1:] / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    layers = f"lowerdir={directory},upperdir={upper},workdir={work}"
    mount("-t", "overlay", "-o", layers, "overlay", directory)


def main(extracted: str, private: list[str]) -> None:
    """Hide each directory of `private` under an empty tmpfs, then wait for EOF.

    `extracted` is where the plugins under test unpack themselves.
    """
    mount_sysfs()
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    for directory in OVERLAID:
        mount_overlay(directory)
    for directory in private:
        Path(directory).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)
    Path(EXTRACTION_ROOT).mkdir(parents=True, exist_ok=True)
    mount("--bind", extracted, EXTRACTION_ROOT)
    for directory in EMPTY:
        Path(directory).mkdir()
    # Orphans of the runtimes (conmon, shims) are reaped by the kernel itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
