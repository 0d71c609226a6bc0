# SPDX-License-Identifier: Apache-2.0
"""The success result of ADD (CNI spec 1.1.0, section 5), in every version's shape.

A result lives in memory in the newest shape. Its document is made in exactly the
version of the configuration, and a prevResult is read in that version.
"""

from __future__ import annotations

from pydantic import Field

from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import Cidr, IPInterface, Mac, OptionalAddress
from cni_common.spec.model import GoModel, parse
from cni_common.spec.typed import Any
from cni_common.spec.versions import at_least


class Dns(GoModel):
    """Name servers for the container; consumed by the runtime."""

    nameservers: list[str] | None = None
    domain: str = ""
    search: list[str] | None = None
    options: list[str] | None = None

    def is_given(self) -> bool:
        """Tell whether any member was written, be it as an empty list."""
        lists = (self.nameservers, self.search, self.options)
        return bool(self.domain) or any(item is not None for item in lists)

    def document(self) -> dict[str, Any]:
        """Return the members that have a value."""
        return _filled(self.model_dump())


class Route(GoModel):
    """A route in the container; mtu and advmss in bytes, priority is the metric.

    `dst` is as it was written, perhaps with bits behind the prefix length: it goes on
    to plugins and runtimes that may compare it. What it stands for is `dst.network`.
    """

    dst: Cidr
    gw: OptionalAddress = None
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the members that have a value."""
        dump = self.model_dump(exclude_none=True)
        return {key: value for key, value in dump.items() if value or key in _POINTERS}


# Pointers in the reference's type: 0 is a value there (table 0, scope 0 = global).
_POINTERS = frozenset({"table", "scope", "interface"})


class Interface(GoModel):
    """A link of the attachment; `sandbox` is CNI_NETNS, or empty on the host."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""
    socket_path: str = ""
    pci_id: str = Field(default="", alias="pciID")

    def document(self) -> dict[str, Any]:
        """Return the members that have a value."""
        return _filled(self.model_dump(by_alias=True))


class IP(GoModel):
    """An address of the attachment; `interface` is an index into the interfaces.

    A missing index is not 0; one that names no interface counts as missing.
    """

    address: Cidr
    gateway: OptionalAddress = None
    interface: int | None = None

    @property
    def version(self) -> str:
        """The address family as 0.3.0 to 0.4.0 write it."""
        return str(self.address.version)

    def document(self) -> dict[str, Any]:
        """Return the members that have a value."""
        return self.model_dump(exclude_none=True)


class Result(GoModel):
    """What an attachment has: links, addresses, routes, DNS."""

    interfaces: list[Interface] = Field(default_factory=list)
    ips: list[IP] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    dns: Dns = Field(default_factory=Dns)

    def index_of(self, ip: IP) -> int | None:
        """Return the index of the interface that has `ip`, or None if it names none."""
        index = ip.interface
        return index if index in range(len(self.interfaces)) else None

    def is_held(self, ip: IP) -> bool:
        """Tell whether `ip` is an address of an interface in a container."""
        index = self.index_of(ip)
        return index is not None and bool(self.interfaces[index].sandbox)

    def joined(self, other: Result) -> Result:
        """Return the result with what `other` has behind it; its DNS if it has any."""
        count = len(self.interfaces)
        ips = [
            IP(
                address=ip.address,
                gateway=ip.gateway,
                interface=None if ip.interface is None else ip.interface + count,
            )
            for ip in other.ips
        ]
        return Result(
            interfaces=[*self.interfaces, *other.interfaces],
            ips=[*self.ips, *ips],
            routes=[*self.routes, *other.routes],
            dns=other.dns if other.dns.is_given() else self.dns,
        )

    @classmethod
    def read(cls, document: object, version: str, what: str = "prevResult") -> Result:
        """Return `document`, which must be a result in `version`; else
        Code.DECODE_FAILURE or Code.INVALID_CONFIG.
        """
        if not isinstance(document, dict):
            raise CNIError(Code.DECODE_FAILURE, f"decode {what}: not a JSON object")
        stated = gojson.string(document, "cniVersion")
        if stated and stated != version:
            msg = f"decode {what}: its cniVersion {stated!r} is not {version!r}"
            raise CNIError(Code.DECODE_FAILURE, msg)
        if at_least(version, "0.3.0"):
            return parse(cls, document, what)
        return parse(_LegacyResult, document, what).current()

    def document(
        self, version: str, *, keep_route_fields: bool = False
    ) -> dict[str, Any]:
        """Return the result in the shape of `version`.

        An IPAM plugin keeps what 1.1.0 says of routes in any version: its result is
        read by the delegating plugin, which applies them. Raises Code.INVALID_CONFIG
        for 0.1.0 and 0.2.0 when there is no address, since those versions cannot say
        so.
        """
        if at_least(version, "1.1.0"):
            keep_route_fields = True
        routes = [route.document() for route in self.routes]
        if not keep_route_fields:
            routes = [_only(route, "dst", "gw") for route in routes]
        if not at_least(version, "0.3.0"):
            return self._legacy_document(version, routes)
        ips = [ip.document() for ip in self.ips]
        interfaces = [interface.document() for interface in self.interfaces]
        if not at_least(version, "1.0.0"):
            ips = [
                {"version": ip.version, **doc}
                for ip, doc in zip(self.ips, ips, strict=True)
            ]
        if not at_least(version, "1.1.0"):
            interfaces = [_only(doc, "name", "mac", "sandbox") for doc in interfaces]
        document: dict[str, Any] = {"cniVersion": version}
        document |= _filled({"interfaces": interfaces, "ips": ips, "routes": routes})
        dns = self.dns.document()
        if dns or not at_least(version, "1.0.0"):
            document["dns"] = dns
        return document

    def _legacy_document(
        self, version: str, routes: list[dict[str, Any]]
    ) -> dict[str, Any]:
        if not self.ips:
            msg = f"convert result to {version}: it has no IP address"
            raise CNIError(Code.INVALID_CONFIG, msg)
        document: dict[str, Any] = {"cniVersion": version}
        for family in (4, 6):
            first = next((ip for ip in self.ips if ip.address.version == family), None)
            if first is None:
                continue
            member: dict[str, Any] = {"ip": str(first.address)}
            if first.gateway is not None:
                member["gateway"] = str(first.gateway)
            own = [
                document
                for route, document in zip(self.routes, routes, strict=True)
                if route.dst.version == family
            ]
            document[f"ip{family}"] = member | _filled({"routes": own})
        document["dns"] = self.dns.document()
        return document


class _LegacyIP(GoModel):
    ip: Cidr
    gateway: OptionalAddress = None
    routes: list[Route] = Field(default_factory=list)


class _LegacyResult(GoModel):
    """The shape of 0.1.0 and 0.2.0: at most one address of each family."""

    ip4: _LegacyIP | None = None
    ip6: _LegacyIP | None = None
    dns: Dns = Field(default_factory=Dns)

    def current(self) -> Result:
        members = [member for member in (self.ip4, self.ip6) if member is not None]
        return Result(
            ips=[IP(address=m.ip, gateway=m.gateway) for m in members],
            routes=[route for m in members for route in m.routes],
            dns=self.dns,
        )


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value}


def _only(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: document[key] for key in keys if key in document}


__all__ = ["IP", "Dns", "IPInterface", "Interface", "Mac", "Result", "Route"]
