# SPDX-License-Identifier: Apache-2.0
"""`cni_common.spec.values` in a packed file: what the suite uses of its classes.

Nothing is made by `exec`. Annotations are text (`from __future__`).
"""

from __future__ import annotations

from _operator import attrgetter, itemgetter

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

_ABSENT: Any = object()
_FIELDS, _READ = "__value_fields__", "__value_reader__"
_CLASSES = ("ClassVar", "typing.ClassVar")


class Field:
    """What a class says of a field that has more than a type and a plain default."""

    def __init__(
        self, default: Any, factory: Callable[[], Any] | None, *, compare: bool
    ) -> None:
        self.default = default
        self.factory = factory
        self.compare = compare

    def made(self) -> Any:
        """Return the default of a new value."""
        return self.factory() if self.factory else self.default


def field(
    *,
    default: Any = _ABSENT,
    default_factory: Callable[[], Any] | None = None,
    compare: bool = True,
) -> Any:
    """Return what stands for a field that has more than a plain default."""
    return Field(default, default_factory, compare=compare)


def dataclass(cls: type | None = None, /, **options: bool) -> Any:
    """Give a class `__init__`, `__repr__` and `__eq__` of its annotated names.

    Options are `frozen`, `eq`, `order` and `kw_only`, as in the standard library.
    """
    if cls is None:
        return lambda made: _completed(made, **options)
    return _completed(cls, **options)


def replace(value: Any, /, **changes: Any) -> Any:
    """Return a value like `value` in which the fields of `changes` are those."""
    given = {name: getattr(value, name) for name in getattr(value, _FIELDS)}
    return type(value)(**{**given, **changes})


def asdict(value: Any) -> Any:
    """Return a value as dictionaries, those within it included."""
    names = getattr(type(value), _FIELDS, None)
    if names is not None:
        return {name: asdict(getattr(value, name)) for name in names}
    if isinstance(value, (list, tuple)):
        return type(value)(asdict(item) for item in value)
    if isinstance(value, dict):
        return {asdict(key): asdict(item) for key, item in value.items()}
    return value


def _completed(
    cls: type,
    *,
    frozen: bool = False,
    eq: bool = True,
    order: bool = False,
    kw_only: bool = False,
) -> type:
    init = _init_by_name if kw_only else _init
    made = {_FIELDS: _fields(cls), "__init__": init, "__repr__": _repr}
    if eq:
        made |= {"__eq__": _equal, "__hash__": _hash if frozen else None}
    if order:
        made |= _ORDER
    if frozen:
        made |= {"__setattr__": _refuse, "__delattr__": _refuse}
    own = cls.__dict__
    for name, value in made.items():
        if own.get(name) is None:  # Python itself puts None for __hash__ beside __eq__
            setattr(cls, name, value)
    return cls


def _fields(cls: type) -> dict[str, Any]:
    """Return the fields of a class and its bases, with default or Field of each.

    A default stays on the class.
    """
    fields: dict[str, Any] = {}
    own = cls.__dict__
    for base in reversed(cls.__mro__[1:]):
        fields |= base.__dict__.get(_FIELDS, {})
    for name, annotation in cls.__annotations__.items():
        if annotation.startswith(_CLASSES):
            continue
        default = fields[name] = own.get(name, _ABSENT)
        if isinstance(default, Field):
            if default.default is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, default.default)
    return fields


def _init(self: Any, /, *arguments: Any, **given: Any) -> None:
    names = getattr(self, _FIELDS)
    if len(arguments) > len(names):
        raise _wrong(self, f"takes {len(names)} values, not {len(arguments)}")
    self.__dict__.update(zip(names, arguments, strict=False))
    _init_by_name(self, **given)


def _init_by_name(self: Any, /, **given: Any) -> None:
    fields, values = getattr(self, _FIELDS), self.__dict__
    if not given.keys() <= fields.keys() or not given.keys().isdisjoint(values):
        wrong = [name for name in given if name in values or name not in fields]
        raise _wrong(self, f"got {wrong[0]!r} twice or unexpectedly")
    values.update(given)
    if len(values) < len(fields):
        _fill(self, values, fields)


def _fill(value: Any, values: dict[str, Any], fields: dict[str, Any]) -> None:
    """Add to `values` the defaults of the fields that were not given."""
    for name, each in fields.items():
        if name in values:
            continue
        values[name] = each.made() if isinstance(each, Field) else each
        if values[name] is _ABSENT:
            raise _wrong(value, f"lacks {name!r}")


def _wrong(value: Any, cause: str) -> TypeError:
    return TypeError(f"{type(value).__name__}() {cause}")


def _equal(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return self is other or _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _ordering(by: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return by(_compared(self), _compared(other))

    return compare


_KINDS = ("__lt__", "__le__", "__gt__", "__ge__")
_ORDER = {kind: _ordering(getattr(tuple, kind)) for kind in _KINDS}


def _compared(value: Any) -> Any:
    read = type(value).__dict__.get(_READ)
    if read is None:
        fields: dict[str, Any] = getattr(value, _FIELDS)
        names = [n for n, f in fields.items() if not isinstance(f, Field) or f.compare]
        read = attrgetter(*names, "__class__", "__class__")  # two make it a tuple
        setattr(type(value), _READ, read)
    return read(value)


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name in getattr(self, _FIELDS))
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name!r}")


class _Members(type):
    """Makes members of what a class has in capitals; calling it finds one by value."""

    _members: dict[Any, Any]

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]
    ) -> Any:
        made: Any = type.__new__(cls, name, bases, namespace)
        members: dict[Any, Any] = {}
        type.__setattr__(made, "_members", members)
        for key, value in namespace.items():
            if key.isupper():
                member: Any = bases[0].__new__(made, value)
                members[value] = member
                member.__dict__.update(name=key, value=value)
                type.__setattr__(made, key, member)
        return made

    def __call__(cls, value: Any) -> Any:
        try:
            return cls._members[value]
        except (KeyError, TypeError):
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}") from None

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._members.values())

    __setattr__ = __delattr__ = _refuse


class _Named:
    """What members have beside their value."""

    name: str
    value: Any

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}.{self.name}: {self.value!r}>"

    __setattr__ = __delattr__ = _refuse


class StrEnum(str, _Named, metaclass=_Members):  # noqa: SLOT000 - members have names
    """Text that is one of the members."""

    __repr__ = _Named.__repr__
    __str__ = str.__str__
    __format__ = str.__format__


class IntEnum(int, _Named, metaclass=_Members):
    """A number that is one of the members."""

    __repr__ = _Named.__repr__
    __str__ = int.__repr__
    __format__ = int.__format__


class NamedTuple(tuple):  # type: ignore[type-arg] # each subclass has types of its own
    """A tuple whose items have the annotated names of the subclass."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - as in the standard library

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        own = cls.__dict__
        cls._defaults = {name: own[name] for name in cls._fields if name in own}
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, /, *arguments: Any, **given: Any) -> Self:
        """Return a tuple of all fields, by position or name."""
        names = cls._fields
        if given or len(arguments) != len(names):
            rest = {**cls._defaults, **given}
            try:
                arguments += tuple([rest.pop(name) for name in names[len(arguments) :]])
            except KeyError as error:
                raise TypeError(f"{cls.__name__}() lacks {error}") from None
            if rest.keys() & given.keys() or len(arguments) != len(names):
                raise TypeError(f"{cls.__name__}() got too much")
        return tuple.__new__(cls, arguments)

    __setattr__ = __delattr__ = _refuse

    def _replace(self, /, **changes: Any) -> Self:
        """Return a tuple in which the fields of `changes` are those."""
        return type(self)(**{**dict(zip(self._fields, self, strict=True)), **changes})

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        shown = (f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({', '.join(shown)})"


__all__ = [
    "IntEnum",
    "NamedTuple",
    "StrEnum",
    "asdict",
    "dataclass",
    "field",
    "replace",
]
