# SPDX-License-Identifier: Apache-2.0
"""A promiscuous bridge gives no packet twice: table `bridge cnipy_duplicates`.

With br_netfilter a frame for the bridge's own MAC has its addresses translated while
it is bridged, and leaves by the container's port. A promiscuous bridge hands a copy
up, still marked as being for the host, and the host forwards it once more. So what is
for a container by its MAC and for the host by its mark is dropped on its way up,
unless the container has sent it itself, which has no other way back
(docs/decisions/0027). The MACs are written down in /run/cni/cnipy/duplicates/.
"""

from __future__ import annotations

from cni_common import naming
from cni_common.kernel import sysctl
from cni_common.kernel.own_table import Content, ElementKey, OwnTable
from cni_common.known_macs import KnownMacs
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.kernel.own_table import Elements
    from cni_common.naming import Attachment

TABLE = "bridge cnipy_duplicates"

_TABLE = OwnTable(f"""\
table {TABLE} {{
	set containers {{
		type ether_addr
	}}
	set selves {{
		type ether_addr . ether_addr
	}}
	chain input {{
		type filter hook input priority -200; policy accept;
		ether saddr . ether daddr @selves accept
		meta pkttype host ether daddr @containers drop
	}}
}}
""")
_FILTERED = (
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)


def are_likely() -> bool:
    """Tell whether a promiscuous bridge would give packets twice: with br_netfilter."""
    return any(sysctl.shown(name) == "1" for name in _FILTERED)


def ensure(mac: str, owner: Attachment) -> None:
    """Ensure that the container of `owner`, with `mac`, gets nothing twice.

    Raises Code.INTERNAL.
    """
    _CONTAINERS.ensure(_name(owner), mac, owner)


def rebind(mac: str, owner: Attachment) -> None:
    """Set the MAC of the container of `owner` to `mac`, if a rule knows it."""
    _CONTAINERS.rebind(_name(owner), mac, owner)


def release(owner: Attachment, *, expected: bool = False) -> None:
    """Remove the elements of `owner`, and the table with the last ones.

    `expected`: as for `KnownMacs.release`. Raises Code.INTERNAL.
    """
    _CONTAINERS.release(_name(owner), expected=expected)


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Remove the elements of attachments of `network` that are none of `valid`."""
    _CONTAINERS.collect(network, valid)


def check(mac: str) -> None:
    """Raise Code.INTERNAL unless the container with `mac` gets nothing twice."""
    if not _CONTAINERS.has("", mac):
        msg = f"check copies for {mac}: the rule or its element is missing"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def _name(owner: Attachment) -> str:
    """Return the name of the owner's record, the same after the record was lost."""
    return naming.recalled(owner).digest()


def _elements(name: str, mac: str, owner: str) -> Elements:
    del name
    return {
        ElementKey("containers", mac): Content(comment=owner),
        ElementKey("selves", f"{mac} . {mac}"): Content(),
    }


_CONTAINERS = KnownMacs(
    _TABLE,
    "duplicates",
    _elements,
    "containers",
    lambda e: (naming.of_comment(e.comment).digest(), e.key[0]),
)
