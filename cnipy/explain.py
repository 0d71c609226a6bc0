# SPDX-License-Identifier: Apache-2.0
"""`cnipy explain`: what ADD would do with a network's list, with nothing done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cni_common.attachment import chained, engine
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError
from cni_common.spec.model import parse
from cni_common.spec.request import Request
from cni_common.spec.result import Result
from cni_common.spec.values import dataclass
from cnipy.cache import check_key
from cnipy.invoke import variables
from cnipy.runtime import configuration
from cnipy.verb import Answer, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cni_common.attachment.part import Part
    from cnipy.attachment import Attachment
    from cnipy.context import Context
    from cnipy.network import Network
    from cnipy.suite import Suite

_CONF = "network configuration"
_NO_PLAN = "it makes no plan that could be told beforehand"
_FOREIGN = "it is no plugin of this suite, and nobody else can tell what it would do"


@dataclass(frozen=True)
class Step:
    """What ADD of the plugin `kind` would do: its parts, and where addresses are from.

    `why` tells why there are no parts.
    """

    kind: str
    parts: tuple[Part, ...] = ()
    addresses: tuple[str, ...] = ()
    ipam: str = ""
    why: str = ""

    def lines(self) -> Iterator[str]:
        """Yield it as text."""
        yield self.kind
        if self.ipam:
            given = ", ".join(self.addresses) or "addresses that only ADD will know"
            yield f"  {self.ipam} gives {given}"
        yield from (f"  {part}" for part in self.parts)
        if self.why:
            yield f"  ! {self.why}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        parts = [{"sentence": str(part), **part.document()} for part in self.parts]
        told: dict[str, Any] = {"type": self.kind, "parts": parts, "why": self.why}
        if self.ipam:
            told["ipam"] = {"type": self.ipam, "addresses": list(self.addresses)}
        return told


def told(context: Context, network: Network, attachment: Attachment) -> Answer:
    """Return in words what ADD would do; raises as `steps` does."""
    called = {**context.env, "CNI_PATH": ":".join(context.plugin_path)}
    found = steps(context.suite, network, attachment, called)
    lines = [line for step in found for line in step.lines()]
    return Lines([step.document() for step in found], lines)


def steps(
    suite: Suite,
    network: Network,
    attachment: Attachment,
    env: Mapping[str, str],
) -> list[Step]:
    """Return what ADD of each plugin of the list would do, in order.

    Raises CNIError for what the first plugin refuses. A later one may depend on what
    is not there yet: then that is told.
    """
    check_key(network.name, attachment)
    found: list[Step] = []
    result: dict[str, Any] = {}
    for plugin in network.plugins:
        kind = str(gojson.member(plugin, "type"))
        conf = configuration(network, plugin, attachment, result)
        text = json.dumps(conf, sort_keys=True).encode()
        called = {**env, **variables("ADD", attachment)}
        request = Request.read("ADD", called, text)
        try:
            step, made = _step(suite, kind, request)
        except CNIError as error:
            if not found:
                raise CNIError(
                    error.code, f"{kind}: {error.msg}", error.details
                ) from error
            step, made = Step(kind, why=f"as things are now: {error}"), None
        found.append(step)
        if made is not None:
            result = made.document(network.version) | {"cniVersion": network.version}
    return found


def _step(suite: Suite, kind: str, request: Request) -> tuple[Step, Result | None]:
    if kind not in suite.names:
        return Step(kind, why=_FOREIGN), None
    plugin = suite.plugin(kind)
    conf = parse(plugin.conf, request.document, _CONF)
    if plugin.scheme is None:
        return Step(kind, why=_NO_PLAN), None
    if isinstance(plugin.scheme, chained.Scheme):
        return Step(kind, chained.explain(plugin.scheme, request, conf)), None
    ipam = conf.ipam.type
    leased = _expected(suite, ipam, request)
    plan, result = engine.explain(plugin.scheme, request, conf, leased)
    addresses = tuple(str(ip.address) for ip in leased.ips)
    return Step(kind, plan.parts, addresses, ipam), result


def _expected(suite: Suite, ipam: str, request: Request) -> Result:
    """Return what the IPAM plugin would give now, nothing if that cannot be asked."""
    if ipam not in suite.names:
        return Result()
    plugin = suite.plugin(ipam)
    if plugin.expect is None:
        return Result()
    return plugin.expect(request, parse(plugin.conf, request.document, _CONF))
