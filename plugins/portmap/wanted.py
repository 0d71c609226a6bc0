# SPDX-License-Identifier: Apache-2.0
"""The claims that a request asks for, from its mappings and its prevResult."""

from __future__ import annotations

from cni_common import previous
from cni_common.kernel import netns, route_get
from cni_common.previous import is_reachable
from cni_common.spec.errors import CNIError, Code
from plugins.portmap.claims import Claim, Port, Target

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result
    from plugins.portmap.conf import PortmapConf, PortMapping

# The link towards every address of this host; a packet for one would stay here, and
# reach what listens on the host's loopback.
_OWN = "lo"


def claims(
    request: Request,
    conf: PortmapConf,
    result: Result,
    *,
    with_conditions: bool = True,
) -> dict[Port, list[Claim]]:
    """Return the claims by port; a mapping for which there is no address gives none.

    Without conditions for CHECK: a container keeps those of its ADD. Raises code 8
    when CNI_NETNS is no network namespace, code 2 or 7 for wrong conditions.
    """
    if not conf.mappings:
        return {}
    with netns.open_path(request.netns) as container:
        identity = container.identity
    conditions = conf.conditions() if with_conditions else {}
    targets = _targets(request, result, conditions)
    found: dict[Port, list[Claim]] = {}
    for mapping in conf.mappings:
        claim = _claim(request, conf, mapping, targets, identity)
        if claim.targets:
            found.setdefault(mapping.port, []).append(claim)
        else:
            family = (
                "an" if mapping.host_ip is None else f"an IPv{mapping.host_ip.version}"
            )
            # A family may be missing for good; without any, the list is wrong.
            warn = request.log.warning if targets else request.log.warning_aloud
            warn(f"{mapping.port} is not published: container has not {family} address")
    return found


def _claim(
    request: Request,
    conf: PortmapConf,
    mapping: PortMapping,
    targets: list[Target],
    identity: str,
) -> Claim:
    host_ip = mapping.host_ip
    return Claim(
        host_ip="" if host_ip is None else str(host_ip),
        network=request.network,
        container_id=request.container_id,
        ifname=request.ifname,
        netns=request.netns,
        identity=identity,
        container_port=mapping.container_port,
        targets=tuple(
            target
            for target in targets
            if host_ip is None or target.family == host_ip.version
        ),
        snat=conf.snat,
        masq_all=conf.masq_all,
    )


def _targets(
    request: Request, result: Result, conditions: Mapping[int, str]
) -> list[Target]:
    """Return the first usable address of each family, IPv4 first.

    Raises code 7 when the container has addresses, and none that can be published.
    """
    found: dict[int, Target] = {}
    useless: list[str] = []
    for ip in result.ips:
        address = ip.address.ip
        ours = previous.is_of_container(request, result, ip)
        if address.version in found or not ours:
            continue
        link = _link_towards(address, request) if is_reachable(address) else _OWN
        if link == _OWN:
            useless.append(str(address))
            continue
        bound = conditions.get(address.version, "")
        found[address.version] = Target(str(address), link, bound)
    if useless and not found:
        msg = f"publish ports at {', '.join(useless)}: no address that others can reach"
        hint = "a plugin before portmap must give the container one, as bridge does"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)
    return [found[family] for family in sorted(found)]


def _link_towards(address: IPAddress, request: Request) -> str:
    """Return the link's name; "" where there is no route, as on an isolated bridge."""
    try:
        return route_get.link_towards(address)
    except CNIError as error:
        request.log.warning(f"ports lead nowhere for now: {error}")
        return ""
