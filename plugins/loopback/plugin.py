# SPDX-License-Identifier: Apache-2.0
"""loopback: the container's `lo` is up and has the loopback addresses.

CNI_IFNAME is not read: there is one loopback link, and its name is `lo`.
"""

from __future__ import annotations

from cni_common.frame.rollback import Rollback
from cni_common.frame.skel import Plugin
from cni_common.kernel import addresses, links, netns
from cni_common.kernel.netlink import Netlink
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.netconf import NetConf
from cni_common.spec.result import IP, Interface, Result

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.kernel.addresses import Assigned
    from cni_common.spec.request import Request

LO = "lo"


def add(request: Request, conf: NetConf) -> Result:
    """`lo` is up; the result is prevResult, or `lo` with its addresses."""
    del conf
    previous = request.prev_result
    container = netns.entered_path(request.netns)
    with container, Netlink() as netlink, Rollback() as undo:
        if not links.existing(netlink, LO).is_up:
            undo(links.set_up, netlink, LO, up=False)
        links.set_up(netlink, LO)
        lo = links.existing(netlink, LO)
        assigned = _loopback_addresses(addresses.of_link(netlink, lo))
    if previous is not None:
        return previous
    return Result(
        interfaces=[Interface(name=LO, mac=lo.mac, sandbox=request.netns)],
        ips=[IP(address=item.address, interface=0) for item in assigned],
    )


def delete(request: Request, conf: NetConf) -> None:
    """`lo` is down, where its namespace still exists."""
    del conf
    container = netns.open_living(request.netns)
    if container is None:
        return
    with container, netns.entered(container), Netlink() as netlink:
        links.set_up(netlink, LO, up=False)


def check(request: Request, conf: NetConf) -> None:
    """Raise unless `lo` is up and has loopback addresses only."""
    del conf
    with netns.entered_path(request.netns), Netlink() as netlink:
        lo = links.existing(netlink, LO)
        assigned = addresses.of_link(netlink, lo)
    if not lo.is_up:
        raise CNIError(Code.INTERNAL, "check link lo: loopback interface is down")
    _loopback_addresses(assigned)


def gc(request: Request, conf: NetConf) -> None:
    """Nothing: what loopback does lives and dies with the namespace."""
    del request, conf


def status(request: Request, conf: NetConf) -> None:
    """Ready at all times."""
    del request, conf


def _loopback_addresses(assigned: list[Assigned]) -> list[Assigned]:
    """Return the first address of each family.

    Raises Code.INTERNAL for a foreign one.
    """
    for item in assigned:
        if not item.address.ip.is_loopback:
            msg = "check link lo: it has the non-loopback address"
            raise CNIError(Code.INTERNAL, f"{msg} {item.address}")
    families: dict[int, Assigned] = {}
    for item in assigned:
        families.setdefault(item.address.version, item)
    return list(families.values())


PLUGIN = Plugin(
    "loopback",
    conf=NetConf,
    add=add,
    delete=delete,
    check=check,
    gc=gc,
    status=status,
    keeps_records=False,
)
