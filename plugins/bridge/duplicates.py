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

from cni_common import marks, own_tables, state
from cni_common.kernel import nft, sysctl
from cni_common.spec.errors import CNIError, Code

TABLE = "bridge cnipy_duplicates"
_ROOM = "duplicates"

_DECLARATION = f"""\
add table {TABLE}
add set {TABLE} containers {{ type ether_addr; }}
add set {TABLE} selves {{ type ether_addr . ether_addr; }}
add chain {TABLE} input {{ type filter hook input priority -200; }}
flush chain {TABLE} input
flush set {TABLE} containers
flush set {TABLE} selves
add rule {TABLE} input ether saddr . ether daddr @selves accept
add rule {TABLE} input meta pkttype host ether daddr @containers drop
"""
_FILTERED = (
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)


def are_likely() -> bool:
    """Tell whether a promiscuous bridge would give packets twice: with br_netfilter."""
    return any(sysctl.shown(name) == "1" for name in _FILTERED)


def ensure(mac: str) -> None:
    """Have the container with `mac` get nothing twice; raises code 999."""
    with state.lock(_ROOM):
        marks.add(_ROOM, mac)
        own_tables.change(_element("add", mac), {TABLE: _DECLARATION}, _rebuilt)


def release(mac: str) -> None:
    """Have no rule know `mac`, and no table that knows nobody. Raises code 999."""
    with state.lock(_ROOM):
        try:
            # Adding first makes it harmless that somebody has deleted it already.
            nft.run(_element("add", mac) + _element("delete", mac))
        except nft.RefusedError as refused:
            if not refused.is_missing:
                raise
        if marks.delete(_ROOM, mac):
            own_tables.remove(TABLE)


def check(mac: str) -> None:
    """Raise code 999 unless the container with `mac` gets nothing twice."""
    try:
        listed = nft.list_json(f"list table {TABLE}")
    except nft.RefusedError:
        listed = []
    sets = {item["set"]["name"]: item["set"] for item in listed if "set" in item}
    known = mac in sets.get("containers", {}).get("elem", [])
    rules = sum("rule" in item for item in listed)
    if not known or rules != _DECLARATION.count("add rule"):
        msg = f"check copies for {mac}: the rule or its element is missing"
        raise CNIError(Code.INTERNAL, msg, f"in nft table {TABLE}")


def _element(verb: str, mac: str) -> str:
    return (
        f"{verb} element {TABLE} containers {{ {mac} }}\n"
        f"{verb} element {TABLE} selves {{ {mac} . {mac} }}\n"
    )


def _rebuilt() -> str:
    return _DECLARATION + "".join(_element("add", mac) for mac in marks.names(_ROOM))
