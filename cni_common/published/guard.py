# SPDX-License-Identifier: Apache-2.0
"""The filter at a link with route_localnet that no flush of the ruleset takes away
(docs/decisions/0025). What it consists of is written down by link.

Apart from `localnet`, for it needs netlink, which is expensive to import.
"""

from __future__ import annotations

from cni_common import marks, state
from cni_common.kernel import loopback_filter
from cni_common.published import rules
from cni_common.published.localnet import GUARDS
from cni_common.spec.errors import cause_of

_FILTER, _DISCIPLINE = "filter", "qdisc"


def ensure(link: str) -> str:
    """Ensure the filter at `link`; returns why it cannot be there, else ""."""
    is_new = _FILTER not in _noted(link)
    if is_new:  # before it is there, so that it is found again
        _note(link, [_FILTER, _DISCIPLINE])
    try:
        made = loopback_filter.ensure(link, rules.ANSWER)
    except OSError as error:
        if is_new and not loopback_filter.is_there(link):
            _forget(link, [_FILTER, _DISCIPLINE])
        return f"guard {link} by a filter: {cause_of(error)}"
    if made:
        _note(link, [_DISCIPLINE])
    elif is_new:
        _forget(link, [_DISCIPLINE])
    return ""


def note_present(link: str) -> None:
    """Note that the filter at `link`, if there is one, is ours.

    The discipline is taken for ours too; it stays when it has filters of others.
    """
    if loopback_filter.is_there(link):
        _note(link, [_FILTER, _DISCIPLINE])


def is_whole(link: str) -> bool:
    """Tell whether `link` has the filter, if there was one."""
    return _FILTER not in _noted(link) or loopback_filter.is_there(link)


def delete(link: str) -> None:
    """Delete what is ours at `link`, be it that the note of it was lost."""
    parts = _noted(link)
    if _FILTER not in parts:
        note_present(link)
        parts = _noted(link)
    if parts:
        loopback_filter.delete(link, discipline=_DISCIPLINE in parts)
    _forget(link, parts)


def _noted(link: str) -> list[str]:
    return state.names(state.path(GUARDS, link))


def _forget(link: str, parts: list[str]) -> None:
    for part in parts:
        marks.delete(f"{GUARDS}/{link}", part)


def _note(link: str, parts: list[str]) -> None:
    for part in parts:
        marks.add(f"{GUARDS}/{link}", part)
