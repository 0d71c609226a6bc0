# SPDX-License-Identifier: Apache-2.0
"""What the IPAM plugin gives to an attachment whose addresses are its own link's."""

from __future__ import annotations

from cni_common.spec.errors import invalid_key
from cni_common.spec.result import IP, Result
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.netconf import NetConf
    from cni_common.spec.request import Request


def settled(conf: NetConf, given: Result) -> Result:
    """Return the result as far as it is not about links: all is of the only one."""
    return Result(
        ips=[
            IP(address=ip.address, gateway=ip.gateway, interface=0) for ip in given.ips
        ],
        routes=given.routes,
        dns=conf.dns if conf.dns.is_given() else given.dns,
    )


def settled_or_previous(conf: NetConf, given: Result) -> Result:
    """Return the result as `settled` does; without an IPAM plugin that of prevResult.

    But for what a link of the container holds already. Raises Code.INVALID_CONFIG when
    prevResult is malformed.
    """
    if not conf.ipam.type and conf.prev_result is not None:
        given = Result.read(conf.prev_result, conf.cni_version)
        if any(given.is_held(ip) for ip in given.ips):
            given = Result(dns=given.dns)
    return settled(conf, given)


def require_shape(request: Request, conf: NetConf) -> None:
    """Raise Code.INVALID_CONFIG for a version whose result cannot lack an address."""
    if not conf.ipam.type and not at_least(request.cni_version, "0.3.0"):
        cause = f"a result of {request.cni_version} needs an IP address"
        raise invalid_key("ipam", cause)
