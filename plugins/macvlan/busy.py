# SPDX-License-Identifier: Apache-2.0
"""Who has a MAC that another macvlan of the same master was to have."""

from __future__ import annotations

from contextlib import contextmanager

from cni_common import attached
from cni_common.kernel import macvlans
from cni_common.spec.errors import CNIError, Code
from plugins.macvlan.release import PLUGIN, own

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cni_common.attached import Attached
    from cni_common.kernel.link_answer import Link
    from cni_common.naming import Attachment


@contextmanager
def named(owner: Attachment, noted: Attached, lower: Link) -> Iterator[None]:
    """Have an error of the block that is about the MAC name it, and who has it."""
    try:
        yield
    except CNIError as error:
        if not macvlans.is_mac_in_use(error):
            raise
        msg = f"set up macvlan {owner.ifname} on {lower.name}: MAC {noted.own['mac']}"
        holder = _holder(owner, noted, lower)
        raise CNIError(Code.INTERNAL, f"{msg} is in use by {holder}") from error


def _holder(owner: Attachment, noted: Attached, lower: Link) -> str:
    """Return who has the MAC on the master; the kernel tells of no link elsewhere."""
    if noted.own["mac"] == lower.mac:
        return f"{lower.name} itself"
    for other, theirs in attached.of_plugin(PLUGIN, own):
        if other != owner and _is_same(theirs, noted) and theirs.living():
            return str(other)
    return f"another link on {lower.name} that no record tells of"


def _is_same(theirs: Attached, noted: Attached) -> bool:
    """Tell whether two records are of one MAC on one master."""
    keys = ("master", "mac", "inside")
    if any(theirs.own.get(key) != noted.own[key] for key in keys):
        return False
    return not noted.own["inside"] or theirs.netns_identity == noted.netns_identity
