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

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.own_table import Elements

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


def check(link: str, mac: str) -> None:
    """Raise Code.INTERNAL unless `link` is guarded and bound to `mac`."""
    if not _PORTS.has(link, mac):
        msg = f"check spoof protection of {link}: a rule or an element is missing"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def _elements(link: str, mac: str, owner: str) -> Elements:
    name = nft.quote(link)
    return {
        ElementKey("guarded", name): Content(),
        ElementKey("bound", f"{name} . {mac}"): Content(comment=owner),
    }


_PORTS = KnownMacs(
    _TABLE, "spoofcheck", _elements, "bound", lambda e: (e.key[0], e.key[1])
)

# They take (link, mac, owner), the same, (link), (link, owner) and (network, valid).
ensure, rebind, known = _PORTS.ensure, _PORTS.rebind, _PORTS.known
release, collect = _PORTS.release, _PORTS.collect
