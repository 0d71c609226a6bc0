# SPDX-License-Identifier: Apache-2.0
"""Whether links have IPv6, in the calling thread's namespace (networking/ipv6.rst)."""

from __future__ import annotations

from cni_common.kernel import sysctl
from cni_common.spec.errors import CNIError, Code

_ON, _OFF = "0", "1"  # of disable_ipv6


def is_enabled(link: str) -> bool:
    """Tell whether IPv6 is in use on `link`."""
    return sysctl.shown(_parameter(link)) == _ON


def enable(link: str) -> bool:
    """Enable IPv6 on `link`, which a host may have off by default.

    Tells whether this call did it. Raises Code.INTERNAL, also where there is no IPv6 at
    all.
    """
    if is_enabled(link):
        return False
    if not sysctl.exists("net/ipv6/conf"):
        msg = f"enable IPv6 on {link}: this kernel has none"
        remedy = "boot it without ipv6.disable=1, or give no IPv6 addresses"
        raise CNIError(Code.INTERNAL, msg, remedy)
    if not sysctl.exists(_parameter(link)):
        msg = f"enable IPv6 on {link}: it can have none"
        raise CNIError(Code.INTERNAL, msg, "IPv6 needs an MTU of 1280 bytes")
    sysctl.set_value(_parameter(link), _ON)
    return True


def disable(link: str) -> None:
    """Disable IPv6 on `link`, which takes its addresses; for undoing."""
    sysctl.set_if_present(_parameter(link), _OFF)


def _parameter(link: str) -> str:
    return f"net/ipv6/conf/{link}/disable_ipv6"
