# SPDX-License-Identifier: Apache-2.0
"""DEL: there is nothing to release, and so no configuration to read."""

from __future__ import annotations

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def detach(request: Request) -> bool:
    """Do nothing; true, since nothing is left to do then."""
    del request
    return True
