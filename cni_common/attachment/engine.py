# SPDX-License-Identifier: Apache-2.0
"""Makes, checks and repairs attachments, of whatever parts they consist."""

from __future__ import annotations

from contextlib import ExitStack

from cni_common import attachments, layer3, state
from cni_common.attachment import record
from cni_common.attachment.node import Node
from cni_common.attachment.occupied import (
    refuse_another,
    refuse_elsewhere,
    refuse_existing,
)
from cni_common.attachment.record import Record
from cni_common.attachment.scheme import Told
from cni_common.frame import delegate
from cni_common.frame.plugin import Plugin
from cni_common.frame.rollback import Rollback
from cni_common.kernel import links
from cni_common.naming import Attachment
from cni_common.spec.digests import sha256_hex
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.result import Interface, Result
from cni_common.spec.values import replace

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cni_common.attachment.part import Part
    from cni_common.attachment.scheme import Plan, Scheme
    from cni_common.kernel.link_answer import Link
    from cni_common.spec.netconf import NetConf
    from cni_common.spec.request import Request


def plugin(scheme: Scheme, conf: type[NetConf]) -> Plugin:
    """Return the plugin whose verbs go by `scheme`."""

    def status(request: Request, conf: Any) -> None:
        conf.validate_for(request)
        scheme.ready(request, conf)
        if conf.ipam.type:
            delegate.status(conf.ipam.type, request)

    return Plugin(
        scheme.name,
        conf=conf,
        add=lambda request, conf: add(scheme, request, conf),
        delete=lambda request, conf: delete(scheme, request, conf),
        check=lambda request, conf: check(scheme, request, conf),
        gc=lambda request, conf: _collect(scheme, request, conf),
        status=status,
        scheme=scheme,
    )


def add(scheme: Scheme, request: Request, conf: Any) -> Result:
    """Make the attachment of `request`, or nothing; return what the runtime has got.

    The same ADD of one that lives puts back what it lacks, and answers the same.
    """
    conf.validate_for(request)
    attachment = Attachment.of(request)
    with (
        attachments.turn(attachment),
        Node(attachment, scheme.name) as node,
        Rollback() as undo,
    ):
        again = _earlier(scheme, node, request, conf)
        if again is not None:
            return request.delivered(_behind_earlier(scheme, request, conf, again))
        node.undo = undo
        facts = scheme.facts(node, request, conf)
        made = Record(
            netns=node.namespace.path,
            netns_identity=node.namespace.identity,
            ipam=conf.ipam.type,
            asked=_digest(request),
        )
        undo.finish(record.delete, scheme.name, attachment)
        first = _before_lease(scheme, request, conf, facts)
        record.write(scheme.name, attachment, replace(made, parts=first))
        make(node, request, first)
        result = scheme.settled(conf, _leased(request, conf, undo))
        request.log.step("ipam")
        plan = scheme.plan(attachment, conf, result, facts)
        made = replace(made, parts=plan.parts)
        record.write(scheme.name, attachment, made)
        make(node, request, [part for part in plan.parts if part not in first])
        shown = _interfaces(node, plan)
        result = result.model_copy(update={"interfaces": shown})
        parts = tuple(part.made(node) for part in plan.parts)
        made = replace(made, parts=parts, complete=True, result=result)
        record.write(scheme.name, attachment, made)
        return request.delivered(_behind_earlier(scheme, request, conf, result))


def delete(scheme: Scheme, request: Request, conf: Any) -> None:
    """Delete the attachment of `request`: rules, link, lease."""
    from cni_common.attachment import deletion  # noqa: PLC0415 - not for ADD

    if not deletion.delete_recorded(scheme.name, request):
        remains, ipam = scheme.remains, conf.ipam.type
        also = (lambda node: remains(node, conf)) if remains else None
        deletion.delete_unrecorded(scheme.name, request, scheme.kinds, ipam, also)


def _collect(scheme: Scheme, request: Request, conf: Any) -> None:
    from cni_common.attachment import deletion  # noqa: PLC0415 - not for ADD

    deletion.collect(scheme.name, request, scheme.kinds, conf.ipam.type)


def check(scheme: Scheme, request: Request, conf: Any) -> None:
    """Raise Code.INTERNAL unless all that ADD did is still there, as prevResult says.

    What later plugins of a chain may change is accepted: another MTU, another MAC if
    prevResult says so, further addresses and routes.
    """
    from cni_common import previous  # noqa: PLC0415 - not for ADD
    from cni_common.attachment import condition  # noqa: PLC0415 - not for a first ADD

    conf.validate_for(request)
    if conf.ipam.type:
        delegate.check(conf.ipam.type, request)
    result = previous.required(request)
    name = scheme.beside(request, conf) or request.ifname
    end, index = previous.container_end(request, result, name)
    attachment = Attachment.of(request)
    with Node(attachment, scheme.name) as node:
        found = record.read(scheme.name, attachment)
        facts = scheme.told(Told(node, conf, result, end, found))
        known = found.result.routes if found and found.result else ()
        routes = layer3.completed(result.routes, known)
        if found and any(i.sandbox and i != end for i in result.interfaces):
            routes = [route for route in routes if route in known]  # not another's
        result = Result(ips=previous.ips_of(result, index), routes=routes)
        plan = scheme.plan(attachment, conf, result, facts)
        condition.require(node, plan.parts)


def explain(
    scheme: Scheme, request: Request, conf: Any, leased: Result
) -> tuple[Plan, Result]:
    """Return the plan that ADD would carry out with what is `leased`, and its result.

    Nothing is done. The result has the interfaces by their names alone. Raises
    Code.INVALID_CONFIG or Code.INTERNAL, as ADD does before it changes anything.
    """
    conf.validate_for(request)
    attachment = Attachment.of(request)
    with Node(attachment, scheme.name) as node:
        facts = scheme.facts(node, request, conf)
        result = scheme.settled(conf, leased)
        plan = scheme.plan(attachment, conf, result, facts)
    shown = [Interface(name=name) for name in plan.host_links]
    ends = (*plan.ends, *plan.without_link)
    shown += [Interface(name=name, sandbox=request.netns) for name in ends]
    shown += [Interface(name=name) for name in plan.late_links]
    result = result.model_copy(update={"interfaces": shown})
    return plan, _behind_earlier(scheme, request, conf, result)


def _behind_earlier(
    scheme: Scheme, request: Request, conf: Any, result: Result
) -> Result:
    """Return the result, behind prevResult if the link is beside what that has."""
    if scheme.beside(request, conf):
        from cni_common import previous  # noqa: PLC0415 - behind another plugin alone

        return previous.required(request).joined(result)
    return result


def make(node: Node, request: Request, parts: Iterable[Part]) -> None:
    """Ensure the parts, in order; those in a row with one lock while it is held."""
    with ExitStack() as locked:
        held = ""
        for part in parts:
            if part.lock() != held:
                locked.close()
                held = part.lock()
                if held:
                    locked.enter_context(state.lock(held))
            with request.log.within(type(part).__name__, "ensure"):
                part.ensure(node)


def _earlier(scheme: Scheme, node: Node, request: Request, conf: Any) -> Result | None:
    """Return what the same ADD answered before, if that lives; it lacks nothing then.

    What an ADD that was killed has left is deleted. Raises Code.INTERNAL for an
    interface of anybody else, or of an ADD with another configuration, and for an
    attachment that lives in another namespace.
    """
    found = record.read(scheme.name, node.attachment)
    name = scheme.beside(request, conf) or request.ifname
    if found is None:
        refuse_existing(node, name)
        return None
    refuse_elsewhere(node, request, found.netns, found.netns_identity)
    is_here = found.complete and found.netns_identity == node.namespace.identity
    if is_here:
        refuse_another(node, name, found)
    if is_here and links.get(node.container, name) is not None:
        if found.asked != _digest(request) or found.result is None:
            refuse_existing(node, name)
        from cni_common.attachment import condition  # noqa: PLC0415 - not for a first ADD

        for each in condition.repair(node, found.parts):
            if each.failure:
                msg = f"repair: {each.text}"
                raise CNIError(Code.INTERNAL, msg, each.failure)
        return found.result
    delete(scheme, request.as_verb("DEL"), conf)
    refuse_existing(node, name)
    return None


def _digest(request: Request) -> str:
    """Return what stands for the configuration of `request`, with CNI_ARGS."""
    stdin = request.stdin.decode("utf-8", "surrogateescape")
    return sha256_hex("\0".join((stdin, request.env.get("CNI_ARGS", ""))))


def _before_lease(
    scheme: Scheme, request: Request, conf: Any, facts: Any
) -> tuple[Part, ...]:
    """Return the parts that are made before addresses are asked for.

    An IPAM plugin may ask by the very link, as `dhcp` does; most of ours do not, and
    where they refuse nothing is to be undone.
    """
    ipam = conf.ipam.type
    if not ipam or not scheme.link_first or not delegate.may_ask_by_link(ipam, request):
        return ()
    plan = scheme.plan(Attachment.of(request), conf, Result(), facts)
    return tuple(part for part in plan.parts if not part.follows_lease)


def _leased(request: Request, conf: Any, undo: Rollback) -> Result:
    """Return what the IPAM plugin gives, nothing without one; `undo` gives it back."""
    ipam = conf.ipam.type
    return delegate.lease(ipam, request, undo) if ipam else Result()


def _interfaces(node: Node, plan: Plan) -> list[Interface]:
    """Return the interfaces of the result, as they are when all is made."""
    outside = [_interface(node.link(n)) for n in plan.host_links]
    path, pci = node.namespace.path, plan.pci_id
    inside = [_interface(node.end(n), path, pci) for n in plan.ends]
    inside += [Interface(name=n, sandbox=path, pci_id=pci) for n in plan.without_link]
    late = [_interface(links.existing(node.host, n)) for n in plan.late_links]
    return [*outside, *inside, *late]


def _interface(link: Link, path: str = "", pci: str = "") -> Interface:
    name, mac, mtu = link.name, link.mac, link.mtu
    return Interface(name=name, mac=mac, mtu=mtu, sandbox=path, pci_id=pci)
