# SPDX-License-Identifier: Apache-2.0
"""The record of an attachment: its parts, where it is, and what ADD answered.

Written before the first part is made, and again when ADD is complete; one that is not
complete tells of an ADD that was killed.
"""

from __future__ import annotations

from cni_common import attachments, parts, shapes
from cni_common.attachment import part
from cni_common.spec.errors import CNIError
from cni_common.spec.values import dataclass

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from cni_common.attachment.part import Part
    from cni_common.naming import Attachment
    from cni_common.shapes import Shape, Table
    from cni_common.spec.result import Result

    P = TypeVar("P", bound=Part)

_VERSION = "1.1.0"  # has every field of a result
FORMAT = 2  # 1 had a form of its own for each plugin (before.py)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What an attachment consists of.

    `netns` and `netns_identity` are of the container's namespace, `ipam` is the type of
    the plugin that gave the addresses, `asked` stands for the configuration, and
    `result` is what ADD answered. Until a change is complete, `former` are all parts
    that there were when it began. One of `before` does not tell whether it is complete.
    """

    netns: str = ""
    netns_identity: str = ""
    ipam: str = ""
    parts: tuple[Part, ...] = ()
    former: tuple[Part, ...] = ()
    complete: bool = False
    asked: str = ""
    result: Result | None = None
    before: bool = False

    @property
    def possible(self) -> tuple[Part, ...]:
        """The parts that may be there, of a change that has begun, too."""
        gone = (each for each in self.former if each not in self.parts)
        return (*gone, *self.parts)

    @property
    def is_made(self) -> bool:
        """Whether ADD came to its end; of a record of before that is believed."""
        return self.complete or self.before


def result(value: object) -> Result | None:
    """Return what ADD answered, if it did; raises ValueError for what is no result."""
    if not shapes.mapping(value):
        return None
    from cni_common.spec.result import Result  # noqa: PLC0415 - models are expensive

    try:
        return Result.read(value, _VERSION)
    except CNIError as error:
        raise ValueError(error.msg) from error


def _format(value: object) -> int:
    number = shapes.number(value)
    if number > FORMAT:
        raise ValueError(f"{number} is of a later release")
    return number


def _removed(value: object) -> tuple[Part, ...]:
    """Return those of the parts that the end of an attachment is about.

    The others are not even imported. Which they are the record does not decide.
    """
    return tuple(
        part.read(item)
        for item in shapes.listed(shapes.mapping)(value)
        if shapes.text(item.get("part")) not in parts.LASTING
    )


def _of_kinds(wanted: Callable[[type[Part]], bool]) -> Shape:
    """Return the shape of parts, of which only the `wanted` kinds are read."""

    def read(value: object) -> tuple[Part, ...]:
        found = shapes.listed(shapes.mapping)(value)
        kinds = (part.class_of(shapes.text(item.get("part"))) for item in found)
        pairs = zip(kinds, found, strict=True)
        return tuple(kind.from_document(item) for kind, item in pairs if wanted(kind))

    return read


_MISSING = object()  # what a record of before has in another form
_TABLE: Table = {
    "format": (_format, 1),
    "netns": (shapes.text, _MISSING),
    "netnsIdentity": (shapes.text, _MISSING),
    "ipam": (shapes.text, _MISSING),
    "complete": (shapes.flag, _MISSING),
    "asked": (shapes.text, _MISSING),
}


def _with(shape: Shape) -> Table:
    return {**_TABLE, "parts": (shape, _MISSING)}


_PARTS: Table = _with(shapes.listed(part.read))
_WHOLE: Table = {
    **_PARTS,
    "former": (shapes.listed(part.read), ()),
    "result": (result, _MISSING),
}
_VISIBLE: Table = _with(_of_kinds(lambda kind: kind.is_visible()))
_RULES: Table = _with(_of_kinds(lambda kind: kind.in_rules))
_FOR_REMOVAL: Table = {**_with(_removed), "former": (_removed, ())}


def write(plugin: str, attachment: Attachment, record: Record) -> None:
    """Write down what `plugin` does, or is about to do, for `attachment`."""
    document = {
        "format": FORMAT,
        "netns": record.netns,
        "netnsIdentity": record.netns_identity,
        "ipam": record.ipam,
        "complete": record.complete,
        "asked": record.asked,
        "parts": [each.document() for each in record.parts],
        "result": _told(record.result),
    }
    if record.former:
        document["former"] = [each.document() for each in record.former]
    attachments.write(plugin, attachment, document)


def read(plugin: str, attachment: Attachment) -> Record | None:
    """Return the record of `attachment`, or None when there is none to believe."""
    return _read(plugin, attachment, _WHOLE)


def read_parts(plugin: str, attachment: Attachment) -> Record | None:
    """Return the record as `read` does, without what ADD answered."""
    return _read(plugin, attachment, _PARTS)


def read_visible(
    plugin: str, attachment: Attachment, *, only_rules: bool = False
) -> Record | None:
    """Return the record as `read_parts` does, with those parts that can be seen.

    With `only_rules` those alone that consist of rules of nftables.
    """
    return _read(plugin, attachment, _RULES if only_rules else _VISIBLE)


def read_for_removal(plugin: str, attachment: Attachment) -> Record | None:
    """Return the record as `read` does, with those parts only that can be removed."""
    return _read(plugin, attachment, _FOR_REMOVAL)


def delete(plugin: str, attachment: Attachment) -> None:
    """Make the record absent."""
    attachments.delete(plugin, attachment)


def others(plugin: str, attachment: Attachment) -> Iterator[tuple[Attachment, Record]]:
    """Yield every record of `plugin` but that of `attachment`; for what is rare."""
    for other in of_plugin(plugin):
        if other[0] != attachment:
            yield other


def parts_of_others(plugin: str, attachment: Attachment, kind: type[P]) -> Iterator[P]:
    """Yield the parts of `kind` that other attachments have; for what is rare only.

    An ADD that fails looks here what others rely on; each DEL asks `shared`.
    """
    for _, other in others(plugin, attachment):
        yield from (part for part in other.parts if isinstance(part, kind))


def of_plugin(plugin: str) -> Iterator[tuple[Attachment, Record]]:
    """Yield every record of `plugin`; for what is rare only."""
    for attachment, document in attachments.of_plugin(plugin, _WHOLE):
        found = _record(plugin, attachment, document)
        if found is not None:
            yield attachment, found


def _read(plugin: str, attachment: Attachment, table: Table) -> Record | None:
    document = attachments.read(plugin, attachment, table)
    return None if document is None else _record(plugin, attachment, document)


def _record(
    plugin: str, attachment: Attachment, document: dict[str, Any]
) -> Record | None:
    """Return the record, or None where it is not whole, which is told."""
    if document["format"] < FORMAT:
        from cni_common.attachment import before  # noqa: PLC0415 - of a former release

        return before.read(plugin, attachment, with_result="result" in document)
    missing = [key for key, value in document.items() if value is _MISSING]
    if missing:
        attachments.distrust(plugin, attachment, f"{missing[0]}: it is missing")
        return None
    for each in (*document["parts"], *document.get("former", ())):
        if each.kind() not in parts.OF[plugin]:
            cause = f"parts: {each.kind()!r} is not a part of {plugin}"
            attachments.distrust(plugin, attachment, cause)
            return None
    return Record(
        netns=document["netns"],
        netns_identity=document["netnsIdentity"],
        ipam=document["ipam"],
        parts=document["parts"],
        former=document.get("former", ()),
        complete=document["complete"],
        asked=document["asked"],
        result=document.get("result"),
    )


def _told(result: Result | None) -> dict[str, Any]:
    return result.document(_VERSION) if result else {}
