# SPDX-License-Identifier: Apache-2.0
"""What the parts of a record say of an attachment's link, and of what it has by that.

By the kind of a part; what is not here is told by its sentence alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common import limited_link
from cni_common.spec.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cni_common.attachment.part import Part
    from cnipy.tree import Attached


class Published(NamedTuple):
    """A port of the host, at one address or at all, and where it leads."""

    protocol: str
    port: int
    host_ip: str
    address: str
    container_port: int

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Published:
        """Return what `document` made JSON values of."""
        keys = ("protocol", "hostPort", "hostIP", "address", "containerPort")
        return cls(*(document[key] for key in keys))

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "protocol": self.protocol,
            "hostPort": self.port,
            "hostIP": self.host_ip,
            "address": self.address,
            "containerPort": self.container_port,
        }

    def __str__(self) -> str:
        at = f"{self.host_ip} " if self.host_ip else ""
        return f"{at}{self.protocol} {self.port} → {self.container_port}"


def read(one: Attached, part: Part) -> None:
    """Have in `one` what `part` says."""
    _READERS.get(part.kind(), _nothing)(one, part)


def _nothing(one: Attached, part: Any) -> None:
    """Leave it at the sentence."""


def _veth(one: Attached, part: Any) -> None:
    one.kind, one.inside, one.port = "veth", part.inside, part.host
    one.mac, one.master = part.mac, part.bridge


def _own_link(one: Attached, part: Any) -> None:
    one.kind, one.inside, one.mac = part.kind(), part.inside, part.mac
    if not getattr(part, "master_inside", False):
        one.master = getattr(part, "master", "")


def _moved_device(one: Attached, part: Any) -> None:
    one.kind, one.inside, one.mac = "device", part.inside, part.mac
    one.port = part.device.name if part.device else ""


def _gateway(one: Attached, part: Any) -> None:
    one.gateways += map(str, part.addresses)


def _addresses(one: Attached, part: Any) -> None:
    one.addresses += [str(ip.address) for ip in part.ips]
    one.inside = one.inside or part.inside


def _published_ports(one: Attached, part: Any) -> None:
    for mapping in part.mappings:
        for target in part.targets:
            if target.family in mapping.families:
                number, to = mapping.port.number, mapping.container_port
                where = (mapping.host_ip, target.address, to)
                one.published.append(
                    Published(mapping.port.protocol, number, *where),
                )


def _names(one: Attached, part: Any) -> None:
    one.names += part.names


def _egress_limit(one: Attached, part: Any) -> None:
    one.limits.append(f"sends at most {limited_link.rate(part.rate)}")


def _ingress_limit(one: Attached, part: Any) -> None:
    one.limits.append(f"receives at most {limited_link.rate(part.rate)}")


_READERS: dict[str, Callable[[Attached, Any], None]] = {
    "addresses": _addresses,
    "dummy": _own_link,
    "egress_limit": _egress_limit,
    "gateway": _gateway,
    "host_routed": _addresses,
    "ingress_limit": _ingress_limit,
    "ipvlan": _own_link,
    "macvlan": _own_link,
    "moved_device": _moved_device,
    "names": _names,
    "published_ports": _published_ports,
    "tap": _own_link,
    "veth": _veth,
    "vlan": _own_link,
}
