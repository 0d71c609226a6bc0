# SPDX-License-Identifier: Apache-2.0
"""One command on another kernel: QEMU without KVM, on this machine's own files.

KVM is not asked for: a test has to run on machines that are virtual themselves.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernels.image import Image

MEMORY = "3072"  # MiB; what tests write lies in there too
# How much longer than here tests wait for what is to happen; see tests/lab.py.
SLOWER = 4
# Seconds without a word, after which the machine is ended. Not how long it may run: all
# of netns and examples takes hours.
SILENCE = 2400.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A busy machine may not deliver the timer in time for the kernel's own test of it. And
# what lies at the same address in each process need not be translated for each.
_PATIENT = "no_timer_check tsc=reliable panic=-1 norandmaps"
# Not loaded by the kernel when they are first needed.
_LOADED = ("br_netfilter", "sctp")
_KEPT = (
    *("CNI_TESTS_STRICT", "CNI_TESTS_STRIDE", "CNI_TESTS_WALK"),
    *("CNIPY_PYTHON", "LANG"),
)


def run(image: Image, command: Sequence[str], directory: Path, processors: int) -> int:
    """Run `command` in `directory` on the kernel of `image`; returns its exit status.

    What it prints appears here as it is printed. Nothing of what it writes is left.
    """
    with TemporaryDirectory() as call:
        shared = Path(call)
        (shared / "guest.sh").write_text(_guest(command, directory))
        ended = _watched(_qemu(image, shared, processors))
        status = shared / "status"
        if status.exists():
            return int(status.read_text())
        console = shared / "console"
        sys.stderr.write(console.read_text(errors="replace")[-4000:])
        sys.stderr.write(f"the virtual machine {ended}\n")
        return 1


def _watched(command: Sequence[str]) -> str:
    """Run `command`, pass on what it prints, and return how it ended."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as machine:
        try:
            assert machine.stdout is not None
            printed = machine.stdout.fileno()
            while select.select([printed], [], [], SILENCE)[0]:
                if not (part := os.read(printed, 1 << 16)):
                    return f"ended early ({machine.wait()})"
                sys.stdout.buffer.write(part)
                sys.stdout.buffer.flush()
            return f"printed nothing for {SILENCE / 60:.0f} minutes, and was ended"
        finally:
            machine.kill()


def _guest(command: Sequence[str], directory: Path) -> str:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    settings = {"PATH": _PATH, "HOME": "/root", "TERM": "dumb", **kept}
    patience = SLOWER * float(os.environ.get("CNI_TESTS_PATIENCE", "1"))
    settings["CNI_TESTS_PATIENCE"] = f"{patience:g}"
    # Tests that run here at the same time come and go in /tmp, which is the same one.
    settings["TMPDIR"] = "/tmp/vm"
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()
    )
    return (
        f"{exports}"
        "stty -opost </dev/hvc0\n"
        'install -d -m 1777 "$TMPDIR"\n'
        "hostname kernel-test\n"
        "ip link set lo up\n"
        f"modprobe -a {' '.join(_LOADED)}\n"
        "{\n"
        '    printf "on Linux %s\\n" "$(uname -r)"\n'
        f"    cd {shlex.quote(str(directory))} && {shlex.join(command)}\n"
        "    echo $? >/mnt/status\n"
        "} </dev/null 2>&1 | cat >/dev/hvc0\n"
        "sync\n"
        "echo o >/proc/sysrq-trigger\n"
        "sleep 60\n"
    )


def _qemu(image: Image, shared: Path, processors: int) -> list[str]:
    return [
        "qemu-system-x86_64",
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"),
        *("-smp", str(processors), "-m", MEMORY),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *("-append", f"console=ttyS0 quiet audit=0 mitigations=off {_PATIENT}"),
        *("-serial", f"file:{shared}/console"),
        *("-chardev", "stdio,id=printed,signal=off"),
        *("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=printed"),
        *("-device", "virtio-rng-pci"),
        *_share("root", "/", "readonly=on,multidevs=remap"),
        *_share("call", str(shared), "readonly=off"),
    ]


def _share(tag: str, path: str, options: str) -> tuple[str, ...]:
    return (
        "-fsdev",
        f"local,id={tag},path={path},security_model=none,{options}",
        "-device",
        f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
    )
