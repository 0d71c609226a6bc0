# SPDX-License-Identifier: Apache-2.0
"""Directories in the place of others, for one process and its children alone."""

from __future__ import annotations

import os

from cni_common.kernel import c_library

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000


def see_in_place(places: Mapping[str, str]) -> None:
    """Have the calling process see at each of `places` what its directory has.

    What the host unmounts later is unmounted for it, too: it holds no namespace by a
    mount. There is no way back. Raises OSError.
    """
    process = c_library.CDLL(None)

    def mount(source: str, place: str, flags: int) -> None:
        names = os.fsencode(source), os.fsencode(place)
        _check(process.mount(*names, None, flags, None), f"mount {place}")

    _check(process.unshare(_CLONE_NEWNS), "leave mount namespace")
    mount("none", "/", _MS_REC | _MS_SLAVE)
    for place, source in places.items():
        mount(source, place, _MS_BIND)


def _check(status: int, what: str) -> None:
    if status != 0:
        number = c_library.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
