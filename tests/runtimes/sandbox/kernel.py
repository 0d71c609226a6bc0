# SPDX-License-Identifier: Apache-2.0
"""What the running kernel offers, found by asking it."""

from tests.runtimes.sandbox.machine import Sandbox


def has_vlan_filtering(sandbox: Sandbox) -> bool:
    """Whether a bridge can be made that filters VLANs."""
    words = ("ip", "link", "add", "probe0", "type", "bridge", "vlan_filtering", "1")
    if sandbox.run(*words, check=False).returncode:
        return False
    sandbox.run("ip", "link", "delete", "probe0")
    return True
