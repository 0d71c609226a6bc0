# SPDX-License-Identifier: Apache-2.0
"""iptables by its commands: which are installed, of which variant, and running one.

Both variants can have rules in one namespace: iptables-nft in tables of nftables that
look like the old ones, iptables-legacy in those of xtables.
"""

from __future__ import annotations

import os

from cni_common.spec.errors import CNIError, Code, cause_of
from cni_common.spec.values import StrEnum

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Sequence

# Fixed, so that neither a runtime's missing PATH nor a strange one decides.
DIRECTORIES = (
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/run/current-system/sw/bin",
)
NAMES = {4: "iptables", 6: "ip6tables"}
LOCK_SECONDS = 10
# Exit status for a rule or chain that is not there, and for a rule whose target is a
# chain that is not there. Other failures (no table, no lock, no right) have others.
ABSENT = frozenset({1, 2})


class Variant(StrEnum):
    """Where the rules of a command lie in the kernel."""

    NFT = "nft"
    LEGACY = "legacy"


def installed(names: Sequence[str]) -> str:
    """Return the path of the first of `names` that has its -save beside it, or ""."""
    for name in names:
        for directory in DIRECTORIES:
            path = os.path.join(directory, name)
            if os.access(f"{path}-save", os.X_OK):
                return path
    return ""


def of_variant(variant: Variant, version: int) -> str:
    """Return the path of the command for one variant and version of IP, or ""."""
    found = installed((f"{NAMES[version]}-{variant}",))
    if not found:
        found = installed((NAMES[version],))
        if found and _variant_of(found) != variant:
            return ""
    return found


def default_variant() -> Variant | None:
    """Return what `iptables` means on this host, or None without iptables."""
    path = installed((NAMES[4],))
    if path:
        return _variant_of(path)
    return next((variant for variant in Variant if of_variant(variant, 4)), None)


def attempt(command: Sequence[str], stdin: str = "") -> tuple[int, str, str]:
    """Run `command`; return its status, stdout and stderr."""
    from cni_common.frame.execute import execute  # noqa: PLC0415 - most calls start nothing

    env = {"PATH": ":".join(DIRECTORIES), "LC_ALL": "C"}
    try:
        status, stdout, stderr = execute(command, stdin.encode("utf-8", "replace"), env)
    except OSError as error:
        cause = cause_of(error)
        raise CNIError(Code.INTERNAL, f"run {command[0]}: {cause}") from error
    return status, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")


def run(command: Sequence[str], stdin: str = "") -> str:
    """Run `command` and return what it prints; raises Code.INTERNAL when it fails."""
    status, stdout, stderr = attempt(command, stdin)
    if status != 0:
        raise failure(command, status, stderr, stdin)
    return stdout


def failure(
    command: Sequence[str], status: int, stderr: str, stdin: str = ""
) -> CNIError:
    """Return what a failed `command` said as an error."""
    cause = stderr.strip() or f"status {status}"
    msg = f"run {os.path.basename(command[0])}: {cause}"
    return CNIError(Code.INTERNAL, msg, stdin or " ".join(command[1:]))


def _variant_of(path: str) -> Variant:
    """Return the variant of a command that does not say so in its own name."""
    target = os.path.basename(os.path.realpath(path))
    for variant in Variant:
        if variant in target:
            return variant
    return Variant.NFT if "nf_tables" in run([path, "-V"]) else Variant.LEGACY
