# SPDX-License-Identifier: Apache-2.0
"""What is removed without a record of the attachment, and what GC does besides."""

from __future__ import annotations

from cni_common import attachments, naming, shapes
from cni_common.allowed import choice, following, iptables, nftables, users, zone
from cni_common.attachment import deletion, record
from cni_common.frame.log import remark
from cni_common.frame.rollback import Gather
from cni_common.parts.allowed import ADMIN_CHAIN, FIREWALLD_ZONE, Allowed
from cni_common.reference import admission
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from cni_common.attachment.node import Node
    from cni_common.naming import Attachment
    from cni_common.spec.fields import IPNetwork
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

_POOLS = shapes.listed(shapes.network)


def remove(node: Node) -> None:
    """Remove what elements and users say is the attachment's, and the reference's.

    Of which addresses the latter's rules may be, prevResult tells.
    """
    attachment, request = node.attachment, node.request
    with Gather() as errors:
        errors.attempt(users.recall)
        for known in {attachment, naming.recalled(attachment)}:
            errors.attempt(_remove_recalled, known)
        result = _previous(request) if request else None
        if request and result:
            part = _possible(request, result)
            errors.attempt(part.remove, node)
            errors.attempt(_remove_reference, part, result)
        errors.attempt(remove_owned, attachment)


def collect(network: str, valid: frozenset[tuple[str, str]]) -> None:
    """Remove what was lost and is not `valid`; bring the rest to where the host drops.

    What fails of the latter is a remark.
    """
    with Gather() as errors:
        errors.attempt(users.recall)
        for stale in attachments.stale(users.NAME, network, valid, errors):
            errors.attempt(_remove_recalled, stale)
        with users.lock():
            errors.attempt(nftables.remove_unused)
        if attachments.any_of(users.NAME):
            there, others = choice.look(), Gather()
            with users.lock():
                others.attempt(following.follow, there)
            for error in others.raised:
                remark(f"bring rules of containers up to date: {error}")


def _remove_recalled(attachment: Attachment) -> None:
    if record.read_for_removal(users.NAME, attachment) is not None:
        deletion.delete_stale(users.NAME, attachment, ())


def remove_owned(attachment: Attachment) -> None:
    """Remove what iptables says is the attachment's, and with the last one the rest."""
    used = list(filter(iptables.is_in_use, users.FILTERS))
    if not used:
        return
    own = {naming.comment(attachment)}
    with Gather() as errors, users.lock():
        others = attachments.any_of(users.NAME, but=attachment)
        last = not others and not any(iptables.owners(name) - own for name in used)
        for name in used:
            alone = last and users.is_last(name, ())
            errors.attempt(iptables.remove_owned, name, attachment, last=alone)


def _remove_reference(part: Allowed, result: Result) -> None:
    """Remove what the reference left; from a firewalld that hangs nothing."""
    if part.addresses:
        with Gather() as errors:
            errors.attempt(zone.await_firewalld)
            answers = not errors.raised
            with users.lock():
                errors.attempt(admission.delete, [ip.address for ip in result.ips])
                if answers:
                    errors.attempt(zone.remove_unneeded, part)


def _previous(request: Request) -> Result | None:
    try:
        return request.prev_result
    except CNIError:
        return None


def _possible(request: Request, result: Result) -> Allowed:
    """Return all that ADD may have allowed, by what it was told."""
    links = tuple(_word(i.name, "") for i in result.interfaces if not i.sandbox)
    chain, zone_name = (
        _word(gojson.member(request.document, key), default)
        for key, default in (
            ("iptablesAdminChainName", ADMIN_CHAIN),
            ("firewalldZone", FIREWALLD_ZONE),
        )
    )
    return Allowed(
        addresses=tuple(dict.fromkeys(ip.address.ip for ip in result.ips)),
        guarded=links,
        isolated=True,
        ports=links,
        pools=_pools(request),
        overlay=_word(gojson.member(request.document, "overlayLink"), ""),
        admin_chain=chain.replace("/", ":"),
        zone=zone_name,
    )


def _pools(request: Request) -> tuple[IPNetwork, ...]:
    try:
        return _POOLS(gojson.member(request.document, "pools"))  # type: ignore[no-any-return]  # a shape returns anything
    except ValueError:
        return ()


def _word(value: object, default: str) -> str:
    try:
        return shapes.word(value) or default
    except ValueError:
        return default
