# SPDX-License-Identifier: Apache-2.0
"""Records of format 1, as the parts that they tell of: each plugin had a form.

A node changes its plugins with containers running.
"""

from __future__ import annotations

from cni_common import attachments, shapes
from cni_common.attachment import record
from cni_common.attachment.record import Record

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment
    from cni_common.shapes import Table

    Parts = Callable[[Attachment, dict[str, Any]], tuple[Part, ...]]

_OF_ALL: Table = {
    **dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, shapes.REQUIRED)),
    "ipam": (shapes.text, ""),
    "complete": (shapes.flag, False),
}
_PAIR: Table = {
    "hostVeth": (shapes.link, shapes.REQUIRED),
    "hostMac": (shapes.mac, shapes.REQUIRED),
    "masquerade": (shapes.listed(shapes.network), shapes.REQUIRED),
    "routes": (shapes.listed(shapes.ROUTE), shapes.REQUIRED),
}
_BRIDGE: Table = {
    **_PAIR,
    "bridge": (shapes.link, shapes.REQUIRED),
    "spoofcheck": (shapes.flag, shapes.REQUIRED),
    "duplicates": (shapes.flag, shapes.REQUIRED),
    "gateways": (shapes.listed(shapes.interface), shapes.REQUIRED),
}
_MACVLAN: Table = {
    "master": (shapes.link, shapes.REQUIRED),
    "mac": (shapes.mac, shapes.REQUIRED),
    "inside": (shapes.flag, shapes.REQUIRED),
    "index": (shapes.number, 0),  # known only when the link is made
}
_ROUTES: Table = {"routes": (shapes.listed(shapes.ROUTE), shapes.REQUIRED)}


def _rate_and_burst(value: object) -> tuple[int, int]:
    rate, burst = shapes.listed(shapes.number)(value)
    return rate, burst


_LIMIT = shapes.optional(_rate_and_burst)
_BANDWIDTH: Table = {
    "hostVeth": (shapes.link, shapes.REQUIRED),
    "index": (shapes.number, shapes.REQUIRED),
    "mtu": (shapes.number, shapes.REQUIRED),
    "ifbs": (shapes.listed(shapes.link), shapes.REQUIRED),
    "ifbMac": (shapes.mac, shapes.REQUIRED),
    "addsIngress": (shapes.flag, shapes.REQUIRED),
    "limits": (
        shapes.table(
            {
                "ingress": (_LIMIT, shapes.REQUIRED),
                "egress": (_LIMIT, shapes.REQUIRED),
                "subnets": (shapes.listed(shapes.network), shapes.REQUIRED),
                "only": (shapes.flag, shapes.REQUIRED),
            }
        ),
        shapes.REQUIRED,
    ),
}
_DNSNAME: Table = {
    "names": (shapes.listed(shapes.word), shapes.REQUIRED),
    "addresses": (shapes.listed(shapes.address), shapes.REQUIRED),
    "servers": (shapes.listed(shapes.address), shapes.REQUIRED),
}
_TUNING: Table = {
    "index": (shapes.number, shapes.REQUIRED),
    "dataDir": (shapes.directory, shapes.REQUIRED),
    "link": (shapes.settings, shapes.REQUIRED),
    "sysctl": (shapes.mapped(shapes.parameter, shapes.text), shapes.REQUIRED),
}
_FIREWALL: Table = {
    # Nobody knew them who brought rules where the host drops, or read them back.
    **dict.fromkeys(("netns", "netnsIdentity"), (shapes.text, "")),
    "addresses": (shapes.listed(shapes.address), shapes.REQUIRED),
    "policy": (shapes.text, shapes.REQUIRED),
    **dict.fromkeys(("links", "ports"), (shapes.listed(shapes.link), shapes.REQUIRED)),
    **dict.fromkeys(("admin_chain", "zone"), (shapes.word, shapes.REQUIRED)),
    "backend": (shapes.word, ""),
    "home_zone": (shapes.word, "trusted"),
}


def _bridge(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.bridge import Bridge  # noqa: PLC0415 - records of before only
    from cni_common.parts.gateway import Gateway  # noqa: PLC0415 - likewise
    from cni_common.parts.single_copies import SingleCopies  # noqa: PLC0415 - likewise
    from cni_common.parts.spoof_guard import SpoofGuard  # noqa: PLC0415 - likewise

    port, inside = record["hostVeth"], attachment.ifname
    veth, *masqueraded = _pair(attachment, record, record["bridge"])
    parts: list[Part] = [Bridge(name=record["bridge"]), veth]
    if record["spoofcheck"]:
        parts.append(SpoofGuard(port=port, inside=inside))
    if record["duplicates"]:
        parts.append(SingleCopies(inside=inside))
    if record["gateways"]:
        bridge, held = record["bridge"], record["gateways"]
        parts.append(Gateway(bridge=bridge, addresses=held, unplaced=True))
    return (*parts, *masqueraded)


def _macvlan(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.macvlan import Macvlan  # noqa: PLC0415 - as above

    own = record["own"]
    macvlan = Macvlan(
        inside=attachment.ifname,
        master=own["master"],
        master_inside=own["inside"],
        mac=own["mac"],
        index=own["index"],
    )
    return (macvlan,)


def _host_device(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.moved_device import MovedDevice  # noqa: PLC0415 - as above

    device = record["own"]
    return (MovedDevice(inside=attachment.ifname, device=device),) if device else ()


def _device(value: object) -> Any:
    from cni_common import saved_device  # noqa: PLC0415 - as above

    return saved_device.read_of_before(value)


def _pair(
    attachment: Attachment, record: dict[str, Any], bridge: str = ""
) -> tuple[Part, ...]:
    from cni_common.parts.masqueraded import Masqueraded  # noqa: PLC0415 - as above
    from cni_common.parts.veth import Veth  # noqa: PLC0415 - likewise

    veth = Veth(
        host=record["hostVeth"],
        inside=attachment.ifname,
        host_mac=record["hostMac"],
        bridge=bridge,
    )
    subnets = record["masquerade"]
    return (veth, Masqueraded(subnets=subnets)) if subnets else (veth,)


def _bandwidth(_: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.egress_limit import EgressLimit  # noqa: PLC0415 - as above
    from cni_common.parts.ingress_limit import IngressLimit  # noqa: PLC0415 - likewise

    limits = record["limits"]
    where = {"link": record["hostVeth"], "index": record["index"], "mtu": record["mtu"]}
    which = {"subnets": limits["subnets"], "only": limits["only"]}
    parts: list[Part] = []
    if limits["ingress"]:
        rate, burst = limits["ingress"]
        parts.append(IngressLimit(**where, rate=rate, burst=burst, **which))
    if limits["egress"]:
        rate, burst = limits["egress"]
        ifb = {"ifbs": record["ifbs"], "ifb_mac": record["ifbMac"]}
        added = record["addsIngress"]
        parts.append(
            EgressLimit(
                **where, rate=rate, burst=burst, **ifb, **which, adds_ingress=added
            )
        )
    return tuple(parts)


def _dnsname(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.name_server import NameServer  # noqa: PLC0415 - as above
    from cni_common.parts.names import Names  # noqa: PLC0415 - likewise

    names = Names(**{key: record[key] for key in _DNSNAME})
    return (NameServer(network=attachment.network), names)


def _portmap(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.published_ports import PublishedPorts  # noqa: PLC0415 - as above
    from cni_common.published import ledger  # noqa: PLC0415 - likewise
    from cni_common.published.claims import Mapping, Target  # noqa: PLC0415 - likewise

    held = ledger.load(record["ports"])
    known = PublishedPorts.of_claims(ledger.own(held, attachment))
    # Those whose claim is lost, or another's by now.
    lost = tuple(Mapping(port, 0) for port in held if port not in known.ports)
    link = next(iter(record["links"]), "")
    targets = tuple(Target(at, link) for at in record["addresses"])
    part = PublishedPorts(
        mappings=known.mappings + lost,
        targets=known.targets or targets,
        snat=known.snat or not known.mappings,
        masq_all=known.masq_all,
    )
    return (part,)


def _port(value: object) -> Any:
    from cni_common.published.claims import Port  # noqa: PLC0415 - as above

    return Port.named(value)


def _tuning(attachment: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.link_settings import LinkSettings  # noqa: PLC0415 - as above
    from cni_common.parts.sysctl import Sysctl  # noqa: PLC0415 - likewise

    parts: list[Part] = []
    if record["sysctl"]:
        parts.append(Sysctl(wanted={}, before=record["sysctl"]))
    if record["link"]:
        parts.append(
            LinkSettings(
                inside=attachment.ifname,
                index=record["index"],
                wanted={},
                before=record["link"],
                data_dir=record["dataDir"],
            )
        )
    return tuple(parts)


def _firewall(_: Attachment, record: dict[str, Any]) -> tuple[Part, ...]:
    from cni_common.parts.allowed import Allowed  # noqa: PLC0415 - as above

    isolated = record["policy"] == "isolated"
    part = Allowed(
        addresses=record["addresses"],
        guarded=() if record["policy"] == "open" else record["links"],
        isolated=isolated,
        ports=record["ports"] if isolated else (),
        backend=record["backend"],
        admin_chain=record["admin_chain"],
        zone=record["zone"] or record["home_zone"],
    )
    return (part,)


TABLES: dict[str, Table] = {
    "bandwidth": _BANDWIDTH,
    "bridge": _BRIDGE,
    "dnsname": _DNSNAME,
    "firewall": _FIREWALL,
    "host-device": {**_ROUTES, "own": (_device, shapes.REQUIRED)},
    "macvlan": {**_ROUTES, "own": (shapes.table(_MACVLAN), shapes.REQUIRED)},
    "portmap": {
        "ports": (shapes.listed(_port), shapes.REQUIRED),
        "addresses": (shapes.listed(shapes.same(shapes.address)), shapes.REQUIRED),
        "links": (shapes.listed(shapes.link), shapes.REQUIRED),
    },
    "ptp": _PAIR,
    "tuning": _TUNING,
}
PARTS: dict[str, Parts] = {
    "bandwidth": _bandwidth,
    "bridge": _bridge,
    "dnsname": _dnsname,
    "firewall": _firewall,
    "host-device": _host_device,
    "macvlan": _macvlan,
    "portmap": _portmap,
    "ptp": _pair,
    "tuning": _tuning,
}


def read(plugin: str, attachment: Attachment, *, with_result: bool) -> Record | None:
    """Return the record, or None where it is damaged, which is told.

    A later one that has lost its format lacks what these have.
    """
    table = TABLES.get(plugin, {"format": (shapes.number, shapes.REQUIRED)})
    found = attachments.read(plugin, attachment, {**_OF_ALL, **table})
    if found is None:
        return None
    routes = {"routes": list(found.get("routes", ()))}
    return Record(
        netns=found["netns"],
        netns_identity=found["netnsIdentity"],
        ipam=found["ipam"],
        parts=PARTS[plugin](attachment, found),
        complete=found["complete"],
        result=record.result(routes) if with_result else None,
        before=True,
    )
