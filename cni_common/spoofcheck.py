# SPDX-License-Identifier: Apache-2.0
"""A port may send from its own MAC only: table `bridge cnipy_spoofcheck`.

Two rules, whatever the number of ports: frames whose link and source address are in
the set `bound` pass, other frames of a link in the set `guarded` are dropped. The
members are written down in /run/cni/cnipy/spoofcheck/<link>; an element says whose.
"""

from __future__ import annotations

from cni_common.kernel import nft
from cni_common.kernel.own_table import Content, ElementKey, OwnTable
from cni_common.known_macs import KnownMacs
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Collection

    from cni_common.kernel.own_table import Elements
    from cni_common.naming import Attachment
    from cni_common.own_tables import Listed

TABLE = "bridge cnipy_spoofcheck"

_TABLE = OwnTable(f"""\
table {TABLE} {{
	set guarded {{
		type ifname
	}}
	set bound {{
		type ifname . ether_addr
	}}
	chain prerouting {{
		type filter hook prerouting priority -300; policy accept;
		iifname . ether saddr @bound accept
		iifname @guarded drop
	}}
}}
""")


def ensure(link: str, mac: str, owner: Attachment) -> None:
    """Have frames that come in by `link` dropped unless they are from `mac`.

    Raises code 999 and guards nothing when nft refuses. What the kernel may have taken
    nevertheless is for `release` to take back.
    """
    _PORTS.ensure(link, mac, owner)


def rebind(link: str, mac: str, owner: Attachment) -> None:
    """Have `link`, if it is guarded for `owner`, bound to `mac` and to no other.

    Raises code 999 and leaves it bound as it was when nft refuses.
    """
    _PORTS.rebind(link, mac, owner)


def release(link: str) -> None:
    """Have nothing guard `link` any more."""
    _PORTS.release(link)


def collect(network: str, valid: Collection[tuple[str, str]]) -> None:
    """Have no port guarded for an attachment of `network` that is none of `valid`."""
    _PORTS.collect(network, valid)


def check(link: str, mac: str) -> None:
    """Raise code 999 unless `link` is guarded and bound to `mac`."""
    if not _PORTS.has(link, mac):
        msg = f"check spoof protection of {link}: a rule or an element is missing"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def _elements(link: str, mac: str, owner: str) -> Elements:
    name = nft.quote(link)
    return {
        ElementKey("guarded", name): Content(),
        ElementKey("bound", f"{name} . {mac}"): Content(comment=owner),
    }


def _member(element: Listed) -> tuple[str, str]:
    link, mac = element.key
    return link, mac


_PORTS = KnownMacs(_TABLE, "spoofcheck", _elements, "bound", _member)
