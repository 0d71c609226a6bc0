# SPDX-License-Identifier: Apache-2.0
"""The engine for plugins that come behind another one: they change what that made.

They may be called again with other values: those replace what they made before.
"""

from __future__ import annotations

from cni_common import attachments, previous
from cni_common.attachment import record
from cni_common.attachment.node import Node
from cni_common.attachment.record import Record
from cni_common.frame.plugin import Plugin
from cni_common.frame.rollback import Rollback
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass, replace
from cni_common.spec.versions import SUPPORTED

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cni_common.attachment.part import Part
    from cni_common.spec.netconf import NetConf
    from cni_common.spec.request import Request
    from cni_common.spec.result import Result

    Parts = tuple[Part, ...]


def _nothing() -> None:
    """Leave all as it is."""


def _as_it_was(_node: Node, _wished: Any, _parts: Parts, result: Result) -> Result:
    """Return prevResult."""
    return result


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How the chained plugin `name` makes a plan of a configuration.

    `wished` returns what is asked for, something false for nothing; it raises
    Code.INVALID_ENVIRONMENT or Code.INVALID_CONFIG. `facts` looks at host and
    container, before anything is changed, and has the parts that an earlier ADD made,
    if it is the same attachment; with those CHECK is served too. `plan` makes parts of
    wish and facts: it knows nothing of the host. `told` returns prevResult with what
    the parts have changed, if they do. `ready` raises Code.NOT_AVAILABLE unless ADD
    could do its work. `kinds` are the modules of the parts that are looked for without
    a record, `refusal` is said where prevResult is missing. `idle` is called by an ADD
    that neither finds nor makes a part.
    """

    name: str
    wished: Callable[[Request, Any], Any]
    facts: Callable[[Node, Request, Any, Parts], Any]
    plan: Callable[[Attachment, Any, Any], Parts]
    ready: Callable[[Request, Any], None]
    kinds: tuple[str, ...]
    told: Callable[[Node, Any, Parts, Result], Result] = _as_it_was
    refusal: str = "required prevResult missing"
    idle: Callable[[], object] = _nothing


def plugin(
    scheme: Scheme, conf: type[NetConf], versions: tuple[str, ...] = SUPPORTED
) -> Plugin:
    """Return the plugin whose verbs go by `scheme`."""
    return Plugin(
        scheme.name,
        conf=conf,
        add=lambda request, conf: add(scheme, request, conf),
        delete=lambda request, _: _delete(scheme, request),
        check=lambda request, conf: check(scheme, request, conf),
        gc=lambda request, _: _collect(scheme, request),
        status=scheme.ready,
        versions=versions,
        scheme=scheme,
    )


def add(scheme: Scheme, request: Request, conf: Any) -> Result:
    """Make what is asked for in place of what was; return the result.

    What an earlier ADD made is kept where it is the same, brought back where it is
    missing, and replaced where it is another.
    """
    wished = scheme.wished(request, conf)
    result = previous.required(request, scheme.refusal)
    attachment = Attachment.of(request)
    if not (wished or attachments.exists(scheme.name, attachment)):
        scheme.idle()
        return result
    with (
        attachments.turn(attachment),
        Node(attachment, scheme.name, request=request) as node,
        Rollback() as undo,
    ):
        node.undo = undo
        earlier = _earlier(node, request)
        made = earlier.parts if earlier else ()
        parts: Parts = ()
        if wished:
            facts = scheme.facts(node, request, wished, made)
            parts = scheme.plan(attachment, wished, facts)
        if not (made or parts):
            scheme.idle()
        begun = _begin(node, parts, earlier)
        request.log.step("record")
        _change(node, request, made, parts)
        _complete(node, parts, begun)
        if wished:
            result = scheme.told(node, wished, parts, result)
        return request.delivered(result)


def explain(scheme: Scheme, request: Request, conf: Any) -> Parts:
    """Return what ADD would make, with nothing done.

    Raises CNIError, also where that depends on what is not there yet.
    """
    wished = scheme.wished(request, conf)
    if not wished:
        return ()
    attachment = Attachment.of(request)
    with Node(attachment, scheme.name, request=request) as node:
        facts = scheme.facts(node, request, wished, ())
        return scheme.plan(attachment, wished, facts)


def _delete(scheme: Scheme, request: Request) -> None:
    from cni_common.attachment import deletion  # noqa: PLC0415 - not for ADD

    deletion.delete_found(scheme.name, request, scheme.kinds)


def _collect(scheme: Scheme, request: Request) -> None:
    from cni_common.attachment import deletion  # noqa: PLC0415 - not for ADD

    deletion.collect(scheme.name, request, scheme.kinds, ipam="")


def check(scheme: Scheme, request: Request, conf: Any) -> None:
    """Raise Code.INTERNAL unless what is asked for is so."""
    from cni_common.attachment import condition  # noqa: PLC0415 - not for a first ADD

    wished = scheme.wished(request, conf)
    previous.required(request, scheme.refusal)
    if not wished:
        return
    attachment = Attachment.of(request)
    found = record.read(scheme.name, attachment)
    with Node(attachment, scheme.name, request=request) as node:
        facts = scheme.facts(node, request, wished, found.parts if found else ())
        planned = scheme.plan(attachment, wished, facts)
        condition.require(node, condition.lasting(planned))


def _earlier(node: Node, request: Request) -> Record | None:
    """Return the record of an earlier ADD in the container's present namespace.

    One that does not tell counts as of that, and is to be written anew. What is left of
    another one that is gone is deleted, and what was killed is undone. Raises
    Code.INTERNAL where the attachment lives elsewhere.
    """
    found = record.read(node.plugin, node.attachment)
    if found is None:
        return None
    if found.netns_identity == node.namespace.identity:
        return found if found.is_made else _undone(node, request, found)
    if not found.netns_identity:
        return replace(found, complete=False)
    from cni_common.attachment import deletion  # noqa: PLC0415 - rare, and expensive
    from cni_common.attachment.occupied import refuse_elsewhere  # noqa: PLC0415 - likewise

    refuse_elsewhere(node, request, found.netns, found.netns_identity)
    deletion.delete_recorded(node.plugin, request)
    return None


def _undone(node: Node, request: Request, found: Record) -> Record | None:
    """Return the record of what was there before a change that was killed.

    That is there again; where it cannot be, what was begun is gone on with.
    """
    from cni_common.attachment import killed  # noqa: PLC0415 - rare

    try:
        # What it locks it lets go of, and what it looked at is others' by now.
        with Node(node.attachment, node.plugin, request=request) as own:
            return killed.undo(own, found)
    except CNIError as error:
        node.warn(f"undo what was killed: {error}")
        for each in reversed(found.former):
            if each not in found.parts:
                each.remove(node)
        return found


def _begin(node: Node, parts: Parts, earlier: Record | None) -> Record | None:
    """Write down what is about to be made, unless that is written down already.

    What there was stands there too until all is made, or all is undone.
    """
    made = earlier.parts if earlier else ()
    if not parts or parts == made:
        return earlier
    if earlier:
        node.undo.finish(record.write, node.plugin, node.attachment, earlier)
    else:
        node.undo.finish(record.delete, node.plugin, node.attachment)
    begun = replace(_record(node, parts), former=made)
    record.write(node.plugin, node.attachment, begun)
    return begun


def _complete(node: Node, parts: Parts, begun: Record | None) -> None:
    """Write down that all is made, and while it is undone, what may be there."""
    if begun is None or (begun.complete and parts):
        return
    if begun.former or not parts:
        node.undo(record.write, node.plugin, node.attachment, begun)
    if parts:
        made = replace(_record(node, parts), complete=True)
        record.write(node.plugin, node.attachment, made)
    else:
        record.delete(node.plugin, node.attachment)


def _record(node: Node, parts: Parts) -> Record:
    space = node.namespace
    return Record(netns=space.path, netns_identity=space.identity, parts=parts)


def _change(node: Node, request: Request, made: Parts, parts: Parts) -> None:
    """Put `parts` in place of what was `made`."""
    former = {type(each): each for each in made}
    kept = {type(each) for each in parts}
    for each in reversed(made):
        if type(each) not in kept:
            node.undo(_repair, node, each)
            each.remove(node)
    for each in parts:
        with request.log.within(type(each).__name__, "ensure"):
            _ensure(node, each, former.get(type(each)))


def _ensure(node: Node, part: Part, before: Part | None) -> None:
    """Have the part as it is wanted, where `before` was."""
    if before is None:
        part.ensure(node)
    elif part.settles or before != part:
        part.replace(node, before)
    elif _lacks(node, part):
        _repair(node, part)


def _lacks(node: Node, part: Part) -> bool:
    from cni_common.attachment import condition  # noqa: PLC0415 - not for a first ADD

    return bool(condition.lacking(node, part))


def _repair(node: Node, part: Part) -> None:
    """Put back what is missing; it stays, whatever becomes of the call."""
    undo, node.undo = node.undo, Rollback()
    with node.undo:
        part.repair(node)
    node.undo = undo
