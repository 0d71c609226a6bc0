# SPDX-License-Identifier: Apache-2.0
"""What the IPAM plugin gives to an attachment whose addresses are its own link's."""

from __future__ import annotations

from cni_common import delegate
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import IP, Result
from cni_common.spec.versions import at_least

TYPE_CHECKING = False  # see launcher/entry.py
if TYPE_CHECKING:
    from cni_common.rollback import Rollback
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


def add(request: Request, conf: NetConf, undo: Rollback, interface: int = 0) -> Result:
    """Have the IPAM plugin's addresses, or none without one; `undo` gives them back.

    The result has no interfaces yet; its addresses belong to the one of the index
    `interface`, and its dns is the configuration's if that has any. Raises the IPAM
    plugin's error, and code 999 when it gives no address.
    """
    if not conf.ipam.type:
        return Result(dns=conf.dns)
    leased = delegate.add(conf.ipam.type, request)
    undo(delegate.delete, conf.ipam.type, request)
    if not leased.ips:
        msg = "IPAM plugin returned missing IP config"
        raise CNIError(Code.INTERNAL, msg, f"IPAM plugin is {conf.ipam.type}")
    return Result(
        ips=[
            IP(address=ip.address, gateway=ip.gateway, interface=interface)
            for ip in leased.ips
        ],
        routes=leased.routes,
        dns=conf.dns if conf.dns.is_given() else leased.dns,
    )


def require_shape(request: Request, conf: NetConf) -> None:
    """Raise code 7 for a version whose result cannot lack the address it will lack."""
    if not conf.ipam.type and not at_least(request.cni_version, "0.3.0"):
        cause = f"a result of {request.cni_version} needs an IP address"
        raise CNIError(Code.INVALID_CONFIG, f"parse ipam: {cause}")
