# SPDX-License-Identifier: Apache-2.0
"""Whether parts are as wanted: told for CHECK, and put right for the same ADD."""

from __future__ import annotations

from contextlib import nullcontext

from cni_common import state
from cni_common.attachment.part import Difference, Repair
from cni_common.frame import counters
from cni_common.spec.errors import CNIError, Code

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cni_common.attachment.node import Node
    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment


def require(node: Node, parts: Iterable[Part]) -> None:
    """Raise Code.INTERNAL with the first difference; the others are its details."""
    found = list(differences(node, parts))
    if found:
        first, *rest = found
        details = "; ".join(filter(None, [first.details, *(d.text for d in rest)]))
        raise CNIError(Code.INTERNAL, first.text, details)


def differences(node: Node, parts: Iterable[Part]) -> Iterator[Difference]:
    """Yield what is not as wanted, each once; what cannot be looked at is one, too."""
    seen = set()
    for part, common, _ in _apart(node, parts):
        if common is not None and common in node.whole:
            continue
        found = lacking(node, part)
        if common is not None and not found:
            node.whole.add(common)
        for difference in found:
            if difference.text not in seen:
                seen.add(difference.text)
                yield difference


def lacking(node: Node, part: Part) -> list[Difference]:
    """Return what is not as wanted of a part."""
    found: list[Difference] = []
    try:
        found += part.differences(node)
    except CNIError as error:
        found.append(Difference(error.msg, error.details))
    return found


def lasting(parts: Iterable[Part]) -> list[Part]:
    """Return the parts as they are to be at any time after ADD."""
    return [part.lasting() for part in parts]


def losses(node: Node, parts: Iterable[Part]) -> Iterator[Repair]:
    """Yield what a living attachment lacks, and why that is gone for good, if it is."""
    for part, owner in _unknown(node, parts):
        found = lacking(node, part)
        failure = _loss(node, part) if found else ""
        for difference in found:
            yield Repair(difference.text, failure, owner)


def repair(node: Node, parts: Iterable[Part]) -> Iterator[Repair]:
    """Put back what a living attachment lacks; yield each difference, and what failed.

    Raises nothing: what is gone for good is told.
    """
    lost = ""
    for part, owner in _unknown(node, parts):
        found = lacking(node, part)
        if not found:
            continue
        loss = _loss(node, part)
        lost = lost or loss
        # Names of what is gone may be another's by now; what is common is not its own.
        gone = loss or (lost if part.common() is None else "")
        failure = gone or _failure(node, part)
        node.forget()
        still = {each.text for each in lacking(node, part)}
        for text in (each.text for each in found):
            cause = failure or ("it stays so" if text in still else "")
            counters.count_repair(node.plugin, is_done=not cause)
            yield Repair(text, cause, owner)


def _unknown(
    node: Node, parts: Iterable[Part]
) -> Iterator[tuple[Part, Attachment | None]]:
    """Yield the parts and whose they are, but for what another attachment was seen to
    have.

    What that lacks, and whether it was put back, has been told with that one.
    """
    for part, common, owner in _apart(node, lasting(parts)):
        if common is None or common not in node.whole:
            yield part, owner
            if common is not None:
                node.whole.add(common)


def _apart(
    node: Node, parts: Iterable[Part]
) -> Iterator[tuple[Part, Part | None, Attachment | None]]:
    """Yield each part, what is common of it, and whose it is.

    What is common and a part of another kind comes before, and is nobody's.
    """
    for part in parts:
        common = part.common()
        if common is not None and type(common) is not type(part):
            yield common, common, None
            common = None
        yield part, common, node.attachment


def _loss(node: Node, part: Part) -> str:
    try:
        return part.loss(node)
    except CNIError as error:
        return str(error)


def _failure(node: Node, part: Part) -> str:
    lock = part.lock()
    try:
        with state.lock(lock) if lock else nullcontext():
            part.repair(node)
    except CNIError as error:
        return str(error)
    return ""
