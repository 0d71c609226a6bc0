# SPDX-License-Identifier: Apache-2.0
"""Records of format 1, as the parts that they tell of: each plugin had a form.

A node changes its plugins with containers running.
"""

from __future__ import annotations

from cni_common import shapes

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment
    from cni_common.shapes import Table

    Parts = Callable[[Attachment, dict[str, Any]], tuple[Part, ...]]

_PAIR: Table = {
    "hostVeth": (shapes.link, ""),
    "hostMac": (shapes.mac, ""),
    "masquerade": (shapes.listed(shapes.network), ()),
    "routes": (shapes.listed(shapes.ROUTE), ()),
}
_BRIDGE: Table = {
    **_PAIR,
    "bridge": (shapes.link, ""),
    "spoofcheck": (shapes.flag, False),
    "duplicates": (shapes.flag, False),
    "gateways": (shapes.listed(shapes.interface), ()),
}
_MACVLAN: Table = {
    "master": (shapes.link, ""),
    "mac": (shapes.mac, ""),
    "inside": (shapes.flag, False),
    "index": (shapes.number, 0),
}
_ROUTES: Table = {"routes": (shapes.listed(shapes.ROUTE), ())}


def _bridge(attachment: Attachment, noted: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.bridge import Bridge  # noqa: PLC0415 - records of before only
    from cni_common.parts.gateway import Gateway  # noqa: PLC0415 - likewise
    from cni_common.parts.single_copies import SingleCopies  # noqa: PLC0415 - likewise
    from cni_common.parts.spoof_guard import SpoofGuard  # noqa: PLC0415 - likewise

    port, inside = noted["hostVeth"], attachment.ifname
    veth, *masqueraded = _pair(attachment, noted, noted["bridge"])
    parts: list[Part] = [Bridge(name=noted["bridge"]), veth]
    if noted["spoofcheck"]:
        parts.append(SpoofGuard(port=port, inside=inside))
    if noted["duplicates"]:
        parts.append(SingleCopies(inside=inside))
    if noted["gateways"]:
        bridge, held = noted["bridge"], noted["gateways"]
        parts.append(Gateway(bridge=bridge, addresses=held, unplaced=True))
    return (*parts, *masqueraded)


def _ptp(attachment: Attachment, noted: dict[str, Any]) -> tuple[Part, ...]:
    return _pair(attachment, noted)


def _macvlan(attachment: Attachment, noted: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.macvlan import Macvlan  # noqa: PLC0415 - as above

    own = noted["own"]
    macvlan = Macvlan(
        inside=attachment.ifname,
        master=own["master"],
        master_inside=own["inside"],
        mac=own["mac"],
        index=own["index"],
    )
    return (macvlan,)


def _pair(
    attachment: Attachment, noted: dict[str, Any], bridge: str = ""
) -> tuple[Part, ...]:
    from cni_common.parts.masqueraded import Masqueraded  # noqa: PLC0415 - as above
    from cni_common.parts.veth import Veth  # noqa: PLC0415 - likewise

    veth = Veth(
        host=noted["hostVeth"],
        inside=attachment.ifname,
        host_mac=noted["hostMac"],
        bridge=bridge,
    )
    subnets = noted["masquerade"]
    return (veth, Masqueraded(subnets=subnets)) if subnets else (veth,)


def _own(table: Table) -> Table:
    return {**_ROUTES, "own": (shapes.table(table), shapes.members({}, table))}


TABLES: dict[str, Table] = {
    "bridge": _BRIDGE,
    "macvlan": _own(_MACVLAN),
    "ptp": _PAIR,
}
PARTS: dict[str, Parts] = {"bridge": _bridge, "macvlan": _macvlan, "ptp": _ptp}
