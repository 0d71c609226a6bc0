# SPDX-License-Identifier: Apache-2.0
"""Who keeps a port of the host that several want, and who gives way."""

from __future__ import annotations

from cni_common.kernel import netns, route_get
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.naming import Attachment
    from cni_common.published.claims import Claim, Port
    from cni_common.published.ledger import Claims
    from cni_common.spec.fields import IPAddress


def resolve_conflicts(before: Claims, attachment: Attachment, wanted: Claims) -> Claims:
    """Return the claims of `before` when `attachment` has exactly `wanted` of them.

    Claims of a dead holder, or of one in the same network whose address has passed to
    this container, give way to `wanted`. Another attachment of the same container
    keeps its own, and the order among them stays. Raises Code.INTERNAL naming a living
    holder.
    """
    return {
        port: _resolved(port, present, attachment, wanted.get(port, []))
        for port, present in before.items()
    }


def _resolved(
    port: Port, present: list[Claim], attachment: Attachment, wanted: list[Claim]
) -> list[Claim]:
    kept: list[Claim] = []
    place = len(present)
    for holder in present:
        if holder.attachment == attachment:
            place = min(place, len(kept))
        elif _stays(port, holder, attachment, wanted):
            kept.append(holder)
    return kept[:place] + wanted + kept[place:]


def _stays(
    port: Port, holder: Claim, attachment: Attachment, wanted: list[Claim]
) -> bool:
    rivals = [claim for claim in wanted if claim.overlaps(holder)]
    if not rivals or holder.container_id == attachment.container_id:
        return True
    if not holder.lives() or _has_passed_on(holder, rivals):
        return False
    raise _held(port, rivals[0], holder)


def _has_passed_on(holder: Claim, rivals: list[Claim]) -> bool:
    """Tell whether the rivals have the holder's address of it in their network.

    Subnets may overlap, and a static address may be given twice: then the holder has
    its address still, and stays.
    """
    passed = [a for claim in rivals for a in claim.shared(holder)]
    same = all(claim.network == holder.network for claim in rivals)
    return bool(passed) and same and not _has_any(holder, passed)


def _has_any(holder: Claim, addresses: list[IPAddress]) -> bool:
    """Tell whether the holder's network namespace has one of `addresses` now."""
    home = netns.open_living(holder.netns)
    if home is None:
        return False
    with home:
        if home.identity != holder.identity:
            return False
        with netns.entered(home):
            return any(route_get.holder(address) for address in addresses)


def _held(port: Port, wanted: Claim, holder: Claim) -> CNIError:
    where = f" of {wanted.host_ip}" if wanted.host_ip else ""
    owner = (
        f"container {holder.container_id} (interface {holder.ifname}, "
        f"network {holder.network})"
    )
    msg = f"publish {port}{where}: held by {owner}"
    details = f"its network namespace is {holder.netns}"
    both = ", ".join(map(str, wanted.shared(holder)))
    if both:
        details += f"; {both} is the address of both containers"
    return CNIError(Code.INTERNAL, msg, details)
