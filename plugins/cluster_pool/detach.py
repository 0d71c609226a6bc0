# SPDX-License-Identifier: Apache-2.0
"""DEL without a model of the configuration, the file of blocks or the agent."""

from __future__ import annotations

from cni_common.leases.release import release

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def detach(request: Request) -> bool:
    """Release what the attachment holds; true, since nothing is left to do then."""
    release(request)
    return True
