# SPDX-License-Identifier: Apache-2.0
"""route_localnet on the links towards published containers, while somebody needs it.

Without it the kernel drops what comes back to 127.0.0.1 over such a link as martian
(Documentation/networking/ip-sysctl.rst). Strangers are kept out twice: by the guard
chain, and by a filter at the link that no flush of the ruleset takes away
(docs/decisions/0025). What the latter consists of is written down by link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common import marks, state
from cni_common.kernel import loopback_filter, sysctl

if TYPE_CHECKING:
    from cni_common.naming import Attachment

USERS, GUARDS = "portmap-links", "portmap-guards"
_FILTER, _DISCIPLINE = "filter", "qdisc"


def require(link: str, attachment: Attachment) -> str:
    """Have route_localnet on `link`, and know that `attachment` needs it.

    Where it is on already and nobody of ours has asked for it, it is the
    administrator's, and stays theirs. Returns why there is no filter, else "".
    """
    users = f"{USERS}/{link}"
    if is_on(link) and not marks.any_in(users):
        return ""
    marks.add(users, attachment.digest())
    cause = guard(link)
    sysctl.set_value(_parameter(link), "1")
    return cause


def release(link: str, attachment: Attachment) -> None:
    """Know that `attachment` no longer needs it; off when that was the last one."""
    if marks.delete(f"{USERS}/{link}", attachment.digest()):
        sysctl.set_if_present(_parameter(link), "0")
        _unguard(link)


def guard(link: str) -> str:
    """Have the filter at `link`; returns why it cannot be there, else ""."""
    try:
        made = loopback_filter.ensure(link)
    except OSError as error:
        return f"guard {link} by a filter: {(error.strerror or str(error)).lower()}"
    note_guard(link, discipline=made)
    return ""


def note_guard(link: str, *, discipline: bool = True) -> None:
    """Know that the filter at `link` is ours, and maybe the `discipline` around it."""
    for part in [_FILTER, _DISCIPLINE] if discipline else [_FILTER]:
        marks.add(f"{GUARDS}/{link}", part)


def restore() -> None:
    """Have the filter wherever route_localnet is on for us; for GC."""
    for link in state.names(state.path(USERS)):
        guard(link)


def is_guarded(link: str) -> bool:
    """Tell whether `link` has the filter, if there was one."""
    noted = _FILTER in state.names(state.path(GUARDS, link))
    return not noted or loopback_filter.is_there(link)


def _unguard(link: str) -> None:
    parts = state.names(state.path(GUARDS, link))
    if parts:
        loopback_filter.delete(link, discipline=_DISCIPLINE in parts)
    for part in parts:
        marks.delete(f"{GUARDS}/{link}", part)


def is_on(link: str) -> bool:
    """Tell whether `link` has route_localnet."""
    return sysctl.get(_parameter(link)) == "1"


def _parameter(link: str) -> str:
    return f"net/ipv4/conf/{link}/route_localnet"
