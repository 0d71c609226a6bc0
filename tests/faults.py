# SPDX-License-Identifier: Apache-2.0
"""Make the n-th call into the kernel fail, for each n: where does ADD break?"""

from __future__ import annotations

import errno
import inspect
import os
from typing import TYPE_CHECKING, Any

from cni_common import duplicates, masquerade, spoofcheck, state
from cni_common.frame import delegate
from cni_common.kernel import (
    addresses,
    bridges,
    forwarding,
    ipv6,
    link_removal,
    link_settings,
    links,
    netns,
    nft,
    routes,
    sysctl,
)
from cni_common.kernel.netlink import Netlink, NetlinkError
from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import pytest

FLOOR = (
    addresses,
    bridges,
    forwarding,
    ipv6,
    link_removal,
    link_settings,
    links,
    netns,
    nft,
    routes,
    sysctl,
)
ABOVE = (delegate, duplicates, masquerade, spoofcheck, state)
KILLED = 137
# What the undoing itself would run into, or what wraps a whole block.
BLOCKS = {"lock", "entered", "entered_path", "release"}


class Refusal:
    """Makes the n-th counted call raise."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.where = ""

    def around(
        self, function: Callable[..., Any], name: str, error: Callable[[], Exception]
    ) -> Callable[..., Any]:
        """Return `function`, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left != 0:
                return function(*args, **kwargs)
            self.where = self.where or name
            raise error()

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


def refused_by_kernel() -> Exception:
    return NetlinkError(errno.EIO, "refused by the test")


def refused_by_file() -> Exception:
    return OSError(errno.EIO, "refused by the test")


def died() -> Exception:
    os._exit(KILLED)


REQUESTS: tuple[tuple[Any, str, Callable[[], Exception]], ...] = (
    (Netlink, "outcomes", refused_by_kernel),
    (Netlink, "hand_over", refused_by_kernel),
    (Netlink, "get", refused_by_kernel),
    (Netlink, "dump", refused_by_kernel),
    (nft, "_command", refused),
    (sysctl, "_write", refused_by_file),
    (state, "_replace", refused_by_file),
    (os, "rename", refused_by_file),
    (os, "unlink", refused_by_file),
)


def functions(module: ModuleType) -> list[str]:
    """Return the public functions that a module defines."""
    return [
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if name[0] != "_" and value.__module__ == module.__name__
    ]


def refuse_function(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count every public function of the kernel floor and of what stands on it."""
    for module in (*FLOOR, *ABOVE):
        for name in set(functions(module)) - BLOCKS:
            where = f"{module.__name__}.{name}"
            counted = refusal.around(getattr(module, name), where, refused)
            patch.setattr(module, name, counted)


def refuse_request(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """Count every request to the kernel: netlink, nftables, /proc/sys, files."""
    for owner, name, error in REQUESTS:
        patch.setattr(owner, name, refusal.around(getattr(owner, name), name, error))


def die_at_request(patch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    """End the process before the counted request, as SIGKILL would."""
    for owner, name, _ in REQUESTS:
        patch.setattr(owner, name, refusal.around(getattr(owner, name), name, died))
