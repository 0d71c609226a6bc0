# SPDX-License-Identifier: Apache-2.0
"""Versions of the specification, and what each of them allows."""

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = SUPPORTED[-1]
OLDEST = SUPPORTED[0]

CHECK_SINCE = "0.4.0"
GC_AND_STATUS_SINCE = "1.1.0"


def introduction(name: str, release: str, versions: tuple[str, ...]) -> str:
    """Return what the plugin `name` says without CNI_COMMAND, for stderr.

    nerdctl and Nomad read the release out of the first line.
    """
    first = f"CNI {name} plugin v{release}" if release else f"CNI {name} plugin"
    return f"{first}\nCNI protocol versions supported: {', '.join(versions)}\n"


def at_least(version: str, floor: str) -> bool:
    """Tell whether `version` is `floor` or newer; both are of the form "1.0.0"."""
    return _numbers(version) >= _numbers(floor)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
