# SPDX-License-Identifier: Apache-2.0
"""Calls that are killed at the n-th request, or whose answer is lost, or refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cni_common import state
from cni_common.kernel import nft, sysctl
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

KILLED = 137


class Death:
    """Ends the process at the n-th counted call."""

    def __init__(self, n: int) -> None:
        self.left = n

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os._exit(KILLED)
            return function(*args, **kwargs)

        return counted


class Unconfirmed:
    """Has the n-th transaction applied and its answer lost.

    With `lasting`, those after it fail as well, and nothing of them is applied.
    """

    CAUSE = "netlink: Error: Could not process rule: Interrupted system call\n"

    def __init__(self, n: int, *, lasting: bool = False) -> None:
        self.left = n
        self.lasting = lasting

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between the plugins and libnftables."""
        real = nft._command

        def command(text: str, *, as_json: bool = False) -> str:
            self.left -= 1
            if self.left > 0 or (self.left < 0 and not self.lasting):
                return real(text, as_json=as_json)
            if self.left == 0:
                real(text, as_json=as_json)
            raise nft.RefusedError(text, self.CAUSE)

        patch.setattr(nft, "_command", command)


def refused() -> Exception:
    return CNIError(Code.INTERNAL, "refused by the test")


REQUESTS: tuple[tuple[Any, str], ...] = (
    (Netlink, "outcomes"),
    (Netlink, "answers"),
    (Netlink, "hand_over"),
    (Netlink, "get"),
    (Netlink, "dump"),
    (nft, "_command"),
    (sysctl, "_write"),
    (state, "_replace"),
    (os, "rename"),
    (os, "unlink"),
)


def die_at_request(patch: pytest.MonkeyPatch, death: Death) -> None:
    """End the process before the counted request, as SIGKILL would."""
    for owner, name in REQUESTS:
        patch.setattr(owner, name, death.around(getattr(owner, name)))
