# SPDX-License-Identifier: Apache-2.0
"""route_localnet on the links towards published containers, while somebody needs it.

Without it the kernel drops what comes back to 127.0.0.1 over such a link as martian
(Documentation/networking/ip-sysctl.rst). Strangers are kept out twice: by the guard
chain, and by a filter at the link (`guard`).
"""

from __future__ import annotations

from cni_common import state
from cni_common.attachment import shared
from cni_common.kernel import sysctl

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.naming import Attachment

USERS, GUARDS = "portmap-links", "portmap-guards"


def require(link: str, attachment: Attachment) -> str:
    """Switch route_localnet of `link` on, and know that `attachment` needs it.

    Where it is on already and nobody of ours has asked for it, it is the
    administrator's, and stays theirs. Returns why there is no filter, else "".
    """
    users = f"{USERS}/{link}"
    if is_on(link) and not shared.is_used(users):
        return ""
    shared.hold(users, attachment.digest())
    from cni_common.published import guard  # noqa: PLC0415 - netlink is expensive

    cause = guard.ensure(link)
    sysctl.set_value(_parameter(link), "1")
    return cause


def release(link: str, attachment: Attachment) -> None:
    """Let go of route_localnet for `attachment`; off when that was the last user.

    Raises Code.INTERNAL when it cannot be switched off: the filter stays until it is.
    """
    users, own = f"{USERS}/{link}", attachment.digest()
    if not shared.is_used(users, (own,)) and _is_ours(link, attachment):
        if sysctl.exists(_parameter(link)):
            sysctl.set_value(_parameter(link), "0")
        from cni_common.published import guard  # noqa: PLC0415 - netlink is expensive

        guard.delete(link)
    # Last, so that another call finishes what a killed one has begun.
    shared.let_go(users, own)


def restore() -> None:
    """Ensure the filter wherever route_localnet is on for us."""
    from cni_common.published import guard  # noqa: PLC0415 - netlink is expensive

    for link in state.names(state.path(USERS)):
        if shared.is_used(f"{USERS}/{link}"):
            guard.ensure(link)


def lacking(link: str) -> Iterator[str]:
    """Yield what is missing of `link`, if it is there."""
    from cni_common.published import guard  # noqa: PLC0415 - netlink is expensive

    value = sysctl.shown(_parameter(link))
    if value and value != "1":
        yield f"sysctl {_parameter(link)} = 1"
    if value and not guard.is_whole(link):
        yield f"filter of link {link} for 127.0.0.0/8"


def is_on(link: str) -> bool:
    """Tell whether `link` has route_localnet."""
    return sysctl.get(_parameter(link)) == "1"


def _is_ours(link: str, attachment: Attachment) -> bool:
    """Tell whether we have it on for nobody but `attachment`.

    Where the users were lost, the guard tells that it was we, and records for whom.
    """
    if shared.is_used(f"{USERS}/{link}"):
        return True
    if not state.names(state.path(GUARDS, link)):
        return False
    from cni_common.published import recall  # noqa: PLC0415 - only after a loss

    return not recall.hold_link(link, but=attachment)


def _parameter(link: str) -> str:
    return f"net/ipv4/conf/{link}/route_localnet"
