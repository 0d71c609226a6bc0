# SPDX-License-Identifier: Apache-2.0
"""A part of an attachment: the wanted state of one thing, as fields of a value.

Its fields are what a record keeps of it: the annotation of a field says which shape its
JSON has. So a record with a value of another type is found without a line of code.
"""

from __future__ import annotations

from functools import cache

from cni_common import shapes
from cni_common.spec.errors import CNIError
from cni_common.spec.values import NamedTuple

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, ClassVar, Self

    from cni_common.attachment.node import Node
    from cni_common.naming import Attachment
    from cni_common.shapes import Shape, Table

_PACKAGE = "cni_common.parts"
_classes: dict[str, type[Part]] = {}


class Difference(NamedTuple):
    """One thing that is not as wanted, in words: what CHECK says, and its details."""

    text: str
    details: str = ""


class Repair(NamedTuple):
    """What was not as wanted, and why it could not be put back, if it could not.

    It is nobody's alone without an `owner`.
    """

    text: str
    failure: str = ""
    owner: Attachment | None = None


class Part:
    """Base of all parts; each is a frozen dataclass in a module of `parts`."""

    # Whether it consists of rules of nftables, which anybody may flush.
    in_rules: ClassVar[bool] = False
    # Whether it is about addresses, and so is not made before they are known.
    follows_lease: ClassVar[bool] = False
    # Whether `replace` looks by itself what is missing, and changes nothing else.
    settles: ClassVar[bool] = False

    def lock(self) -> str:
        """Return the name of the lock under which it is made; empty for none.

        Parts in a row that name the same are made while it is held once.
        """
        return ""

    if TYPE_CHECKING:
        # Each part has its own; what has none cannot be made.
        def ensure(self, node: Node) -> None:
            """Make it so. What that changed is registered with `node.undo`.

            Raises CNIError.
            """

    def made(self, node: Node) -> Part:
        """Return it with what is known of it only now that ADD has made it."""
        del node
        return self

    def remove(self, node: Node) -> None:
        """Make it absent, at the end of the attachment; absence is success.

        Only what is the attachment's own. A part without this method of its own goes
        with another one, or stays because it is the network's.
        """

    def differences(self, node: Node) -> Iterator[Difference]:
        """Yield what is not as wanted; nothing of what nobody can see."""
        del node
        yield from ()

    def lasting(self) -> Self:
        """Return what of it lasts: later plugins and the container change the rest."""
        return self

    def common(self) -> Part | None:
        """Return what the host has of it once for many attachments; None: nothing.

        Where that was found to be as wanted, nobody need look for it again. If it is a
        part of another kind, that is looked at first, and this one always.
        """
        return None

    def loss(self, node: Node) -> str:
        """Return why nobody can put back what `differences` tells of, if so."""
        del node
        return ""

    def repair(self, node: Node) -> None:
        """Put back what `differences` tells of, of which nothing is lost."""
        self.ensure(node)

    def replace(self, node: Node, former: Part) -> None:
        """Make it so in place of `former`, which is of the same kind.

        `node.undo` brings that back. Raises CNIError.
        """
        node.undo(former.repair, node)
        former.remove(node)
        self.ensure(node)

    @classmethod
    def remove_unrecorded(cls, node: Node) -> None:
        """Make absent what of this kind is the attachment's, when nothing is recorded.

        It is found by what the kernel says of its owner.
        """

    @classmethod
    def collect(cls, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Make absent what of this kind is of no `valid` attachment of `network`."""

    @classmethod
    @cache
    def table(cls) -> Table:
        """Return the shapes of the fields, by the names that JSON has for them."""
        return {
            key: (shape, getattr(cls, name, shapes.REQUIRED))
            for name, (key, shape) in cls._fields().items()
        }

    @classmethod
    def kind(cls) -> str:
        """Return the name of the module, which a record has for the part."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def is_removed(cls) -> bool:
        """Tell whether the end of an attachment has anything to do about it."""
        return cls.remove is not Part.remove

    @classmethod
    def is_visible(cls) -> bool:
        """Tell whether anybody can see that it is not as wanted."""
        return cls.differences is not Part.differences

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        pairs = ((key, name) for name, (key, _) in self._fields().items())
        return {"part": self.kind(), **{k: _plain(getattr(self, n)) for k, n in pairs}}

    @classmethod
    @cache
    def _fields(cls) -> dict[str, tuple[str, Shape]]:
        """Return key of JSON and shape by the names of the fields, of bases too."""
        bases = reversed(cls.__mro__[:-1])
        kinds = [pair for base in bases for pair in base.__annotations__.items()]
        known = ((name, kind) for name, kind in kinds if kind in _SHAPES)
        return {name: (shapes.camel(name), _SHAPES[kind]) for name, kind in known}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Return the part that `document` describes; raises ValueError."""
        found = shapes.members(document, cls.table())
        return cls(**dict(zip(cls._fields(), found.values(), strict=True)))


def read(value: object) -> Part:
    """Return the part of a record; raises ValueError for what is none."""
    document = shapes.mapping(value)
    return class_of(shapes.text(document.get("part"))).from_document(document)


def class_of(kind: str) -> type[Part]:
    """Return the class of the module `kind`; raises ValueError where there is none."""
    found = _classes.get(kind)
    if found is None:
        found = _classes[kind] = _imported(kind)
    return found


def _imported(kind: str) -> type[Part]:
    name = f"{_PACKAGE}.{kind}"
    if not kind.isidentifier():
        raise ValueError(f"{kind!r:.40} is not a part")
    try:
        module = __import__(name, fromlist=["Part"])
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ValueError(f"{kind!r:.40} is not a part") from error
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, Part) and _is_own(each, name):
            return each
    raise ValueError(f"{kind!r:.40} is not a part")


def _is_own(found: type, module: str) -> bool:
    return found.__module__ == module


def differences_of(check: Callable[..., object], *args: Any) -> Iterator[Difference]:
    """Yield what `check` raises, as a difference."""
    try:
        check(*args)
    except CNIError as error:
        yield Difference(error.msg, error.details)


def _route(value: object) -> Any:
    from cni_common.spec.result import Route  # noqa: PLC0415 - models are expensive

    return Route.model_validate(shapes.ROUTE(value))


def _ip(value: object) -> Any:
    from cni_common.spec.result import IP  # noqa: PLC0415 - models are expensive

    return IP(**_IP(value))


def _device(value: object) -> Any:
    from cni_common import saved_device  # noqa: PLC0415 - for devices alone

    return saved_device.read(value)


def _saved_route(value: object) -> Any:
    from cni_common.kernel.saved_routes import SavedRoute  # noqa: PLC0415 - for tables alone

    return SavedRoute.read(value)


def _claimed(kind: str, value: object) -> Any:
    from cni_common.published import claims  # noqa: PLC0415 - for ports alone

    return getattr(claims, kind).of_document(value)


_IP = shapes.table(
    {
        "address": (shapes.interface, shapes.REQUIRED),
        "gateway": (shapes.optional(shapes.address), None),
        "interface": (shapes.optional(shapes.number), None),
    }
)
# Annotation of a field -> its shape.
_SHAPES: dict[str, Shape] = {
    "str": shapes.text,
    "bool": shapes.flag,
    "int": shapes.number,
    "Bits32": shapes.bits(32),
    "LinkName": shapes.link,
    "Mac": shapes.mac,
    "SavedDevice | None": _device,
    "Directory": shapes.directory,
    "Word": shapes.word,
    "Parameters": shapes.mapped(shapes.parameter, shapes.text),
    "Settings": shapes.settings,
    "tuple[LinkName, ...]": shapes.listed(shapes.link),
    "tuple[IPVersion, ...]": shapes.listed(shapes.version),
    "tuple[int, ...]": shapes.listed(shapes.bits(32)),
    "tuple[str, ...]": shapes.listed(shapes.text),
    "tuple[Word, ...]": shapes.listed(shapes.word),
    "tuple[IPAddress, ...]": shapes.listed(shapes.address),
    "tuple[IPInterface, ...]": shapes.listed(shapes.interface),
    "tuple[IPNetwork, ...]": shapes.listed(shapes.network),
    "tuple[IP, ...]": shapes.listed(_ip),
    "tuple[Route, ...]": shapes.listed(_route),
    "tuple[SavedRoute, ...]": shapes.listed(_saved_route),
    "tuple[Mapping, ...]": shapes.listed(lambda value: _claimed("Mapping", value)),
    "tuple[Target, ...]": shapes.listed(lambda value: _claimed("Target", value)),
}
if TYPE_CHECKING:
    Bits32 = int  # what an attribute of netlink can hold
    Directory = str
    IPVersion = int
    LinkName = str
    Mac = str
    Parameters = dict[str, str]
    Settings = dict[str, shapes.Setting]
    Word = str  # without white space


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | str | dict):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    document = getattr(value, "document", None)
    return document() if document else str(value)
