# SPDX-License-Identifier: Apache-2.0
"""Where published ports lead, by the prevResult of a request."""

from __future__ import annotations

from cni_common import previous
from cni_common.kernel import route_get
from cni_common.previous import is_reachable
from cni_common.published.claims import Target
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cni_common.spec.fields import IPAddress
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

# The link towards every address of this host; a packet for one would stay here, and
# reach what listens on the host's loopback.
_OWN = "lo"


def of_result(
    request: Request, result: Result, conditions: Mapping[int, str]
) -> list[Target]:
    """Return the first usable address of each family, IPv4 first.

    Raises Code.INVALID_CONFIG when the container has addresses, and none that can be
    published.
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
    link = route_get.find_link_towards(address)
    if link is None:
        request.log.warning(f"ports lead nowhere for now: no route to {address}")
    return link or ""
