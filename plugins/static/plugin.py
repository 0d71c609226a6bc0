# SPDX-License-Identifier: Apache-2.0
"""static: gives an attachment the addresses that the configuration names.

It keeps no account: whoever writes the configuration sees to it that no two
attachments get the same address.
"""

from __future__ import annotations

from cni_common import previous
from cni_common.frame.skel import Plugin
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Result
from plugins.static.conf import StaticConf

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.spec.request import Request


def add(request: Request, conf: StaticConf) -> Result:
    """The result has the addresses, routes and name servers asked for."""
    ips = conf.addresses(request)
    return Result(ips=ips, routes=conf.ipam.routes, dns=conf.ipam.dns)


def delete(request: Request, conf: StaticConf) -> None:
    """Nothing: ADD changes nothing."""
    del request, conf


def check(request: Request, conf: StaticConf) -> None:
    """Raise unless prevResult has the addresses asked for, with their gateways."""
    result = previous.required(request)
    present = {ip.address: ip.gateway for ip in result.ips}
    for ip in conf.addresses(request):
        if ip.address not in present:
            msg = f"check address {ip.address}: not in prevResult"
            raise CNIError(Code.INTERNAL, msg)
        gateway = present[ip.address]
        if ip.gateway not in {None, gateway}:
            msg = f"check address {ip.address}: its gateway in prevResult is"
            raise CNIError(Code.INTERNAL, f"{msg} {gateway}, not {ip.gateway}")


def gc(request: Request, conf: StaticConf) -> None:
    """Nothing: ADD changes nothing."""
    del request, conf


def status(request: Request, conf: StaticConf) -> None:
    """Ready with every configuration that ADD would take; raises Code.INVALID_CONFIG.

    Where the runtime gives the addresses, it does so on ADD alone.
    """
    conf.validate_for(request)


PLUGIN = Plugin(
    "static",
    conf=StaticConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    is_ipam=True,
    keeps_records=False,
    expect=add,
)
